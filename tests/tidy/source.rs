//! Source files as the rules see them: parsed, with what they import and which modules exist only for tests.
//!
//! Code behind `#[cfg(test)]` is invisible to the import and size rules, inline modules and files of their own alike: a
//! test may pull in what it needs. Macro arguments are not Rust until the macro says so; there, paths are found by
//! their tokens.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// One file below `src/`.
pub(crate) struct Source {
    /// Below `src/`, with slashes.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
    /// Its syntax.
    pub(crate) syntax: syn::File,
}

/// All files of a crate, so that a path can be resolved to the file that it means.
pub(crate) struct Tree {
    files: Vec<Source>,
}

impl Source {
    /// Parses the text of the file at `path`.
    #[track_caller]
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("src/{path}: {error}"));
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            syntax,
        }
    }

    /// The module that the file is: `retry/budget` for `retry/budget.rs` and for `retry/budget/mod.rs`.
    pub(crate) fn module(&self) -> &str {
        let stem = self.path.trim_end_matches(".rs");
        stem.strip_suffix("/mod").unwrap_or(stem)
    }

    /// Every path that code outside tests names, as segments: `use` trees flattened, inline paths, and paths in macro
    /// arguments. `super` and `self` are made absolute, so that a path of this crate always begins with `crate`.
    pub(crate) fn imports(&self) -> Vec<Vec<String>> {
        let mut finder = ImportFinder {
            inside: match self.module() {
                "lib" | "main" => Vec::new(),
                module => module.split('/').map(str::to_owned).collect(),
            },
            found: Vec::new(),
        };
        finder.visit_file(&self.syntax);
        finder.found.sort();
        finder.found.dedup();
        finder.found
    }

    /// The modules that this file declares for tests alone, as `retry/budget/tests`.
    fn test_modules(&self) -> Vec<String> {
        let declared = self.syntax.items.iter().filter_map(|item| match item {
            syn::Item::Mod(module) if module.content.is_none() && is_for_tests(&module.attrs) => {
                Some(&module.ident)
            }
            _ => None,
        });
        declared
            .map(|name| match self.module() {
                "lib" | "main" => name.to_string(),
                parent => format!("{parent}/{name}"),
            })
            .collect()
    }
}

impl Tree {
    /// The tree of these files.
    pub(crate) fn new(files: Vec<Source>) -> Self {
        Self { files }
    }

    /// Every file.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Source> {
        self.files.iter()
    }

    /// Every file but those that exist only for tests, and what stands below them.
    pub(crate) fn production_files(&self) -> impl Iterator<Item = &Source> {
        let for_tests: Vec<String> = self.files.iter().flat_map(Source::test_modules).collect();
        self.files.iter().filter(move |file| {
            !for_tests.iter().any(|module| {
                let below = file.module().strip_prefix(module.as_str());
                below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        })
    }

    /// The file that a path of this crate means, as a module: the longest prefix of `segments` that is a file. `None` for
    /// what stands in the crate's root, or is no module of its own.
    pub(crate) fn module_of(&self, segments: &[String]) -> Option<&str> {
        (1..=segments.len()).rev().find_map(|length| {
            let wanted = segments[..length].join("/");
            let mut modules = self.files.iter().map(Source::module);
            modules.find(|module| *module == wanted)
        })
    }
}

/// Whether an item exists only in tests.
pub(crate) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Path>()
                    .is_ok_and(|condition| condition.is_ident("test")))
    })
}

/// The attributes of the items that a `#[cfg(test)]` can stand on.
pub(crate) fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

struct ImportFinder {
    /// The module that is being read, inline modules included.
    inside: Vec<String>,
    found: Vec<Vec<String>>,
}

impl ImportFinder {
    /// Notes one path, made absolute.
    fn note(&mut self, segments: Vec<String>) {
        let absolute = match segments.first().map(String::as_str) {
            Some("redrive") => [&["crate".to_owned()], &segments[1..]].concat(),
            Some("self" | "super") => {
                let ups = segments.iter().take_while(|part| *part == "super").count();
                let kept = self.inside.len().saturating_sub(ups);
                let named = segments.iter().filter(|part| !is_relative(part));
                let mut path = vec!["crate".to_owned()];
                path.extend(self.inside[..kept].iter().chain(named).cloned());
                path
            }
            _ => segments,
        };
        self.found.push(absolute);
    }

    fn note_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                self.note_tree(&[before, &[path.ident.to_string()]].concat(), &path.tree);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.note_tree(before, tree);
                }
            }
            syn::UseTree::Name(name) if name.ident == "self" => self.note(before.to_vec()),
            syn::UseTree::Name(name) => self.note([before, &[name.ident.to_string()]].concat()),
            syn::UseTree::Rename(name) if name.ident == "self" => self.note(before.to_vec()),
            syn::UseTree::Rename(name) => self.note([before, &[name.ident.to_string()]].concat()),
            syn::UseTree::Glob(_) => self.note(before.to_vec()),
        }
    }

    /// Finds `a::b::c` in what is not parsed.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.note_unparsed(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.note_unparsed(&mut path);
                    colons = 0;
                    self.note_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.note_unparsed(&mut path);
                    colons = 0;
                }
            }
        }
        self.note_unparsed(&mut path);
    }

    fn note_unparsed(&mut self, path: &mut Vec<String>) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.note(path);
        }
    }
}

impl<'ast> Visit<'ast> for ImportFinder {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.inside.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.inside.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // One segment is a local name: a type in scope, a variable, a prelude macro.
        if path.segments.len() > 1 {
            let segments = path.segments.iter();
            self.note(segments.map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.note_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

fn is_relative(segment: &str) -> bool {
    segment == "self" || segment == "super"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = Source::parse("proxy/admit.rs", text).imports();

        let found: Vec<String> = found.iter().map(|path| path.join("::")).collect();
        assert_eq!(found.join(", "), expected, "in {text}");
    }

    #[test]
    fn a_use_tree_is_flattened() {
        check(
            "use crate::{retry::{self, budget::Budget as B}, clock::*};",
            "crate::clock, crate::retry, crate::retry::budget::Budget",
        );
    }

    #[test]
    fn a_relative_path_is_made_absolute() {
        check(
            "use super::error; use self::queue::Queue; mod inner { use super::super::route; }",
            "crate::proxy::admit::queue::Queue, crate::proxy::error, crate::proxy::route",
        );
    }

    #[test]
    fn the_binary_names_the_library_by_the_crate_s_own_name() {
        check("use redrive::config::Config;", "crate::config::Config");
    }

    #[test]
    fn a_path_inside_a_body_or_a_macro_is_seen() {
        check(
            "fn f() { let now = crate::clock::now(); warn!(at = ?tokio::time::Instant::now(), other) }",
            "crate::clock::now, tokio::time::Instant::now",
        );
    }

    #[test]
    fn a_path_in_a_type_or_an_attribute_of_a_signature_is_seen() {
        check(
            "fn f(x: Option<hyper::Request<()>>) -> crate::pace::Params { x }",
            "crate::pace::Params, hyper::Request",
        );
    }

    #[test]
    fn what_only_tests_see_is_not_looked_at() {
        check(
            "#[cfg(test)] mod tests { use tokio::test; } #[cfg(test)] use crate::app; #[test] fn f() { hyper::x() }",
            "",
        );
    }

    #[test]
    fn a_file_declared_for_tests_alone_is_not_production_code() {
        let tree = Tree::new(vec![
            Source::parse("retry/budget.rs", "#[cfg(test)] mod tests;"),
            Source::parse("retry/budget/tests.rs", ""),
            Source::parse("retry/budget/tests/support.rs", ""),
            Source::parse("retry/budget/testsuite.rs", ""),
        ]);

        let production: Vec<&str> = tree.production_files().map(Source::module).collect();

        assert_eq!(production, ["retry/budget", "retry/budget/testsuite"]);
    }

    #[test]
    fn a_test_file_without_the_condition_is_production_code() {
        let tree = Tree::new(vec![
            Source::parse("retry/budget.rs", "mod tests;"),
            Source::parse("retry/budget/tests.rs", ""),
        ]);

        assert_eq!(tree.production_files().count(), 2);
    }

    #[test]
    fn a_path_means_the_deepest_file_on_its_way() {
        let tree = Tree::new(vec![
            Source::parse("retry.rs", ""),
            Source::parse("retry/budget.rs", ""),
        ]);
        let module_of = |path: &str| {
            let segments: Vec<String> = path.split("::").map(str::to_owned).collect();
            tree.module_of(&segments).map(str::to_owned)
        };

        assert_eq!(
            module_of("retry::budget::Budget").as_deref(),
            Some("retry/budget")
        );
        assert_eq!(module_of("retry::Policy").as_deref(), Some("retry"));
        assert_eq!(module_of("VERSION"), None);
    }
}
