//! How a file looks: it says what it is for, is short, keeps no stub, has a name, and knows no machine.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::source::{Source, attributes, is_for_tests};

/// The most lines that a file may have before its tests; past it there are usually two nouns in it.
const FILE_LINES_MAX: usize = 300;

/// The most lines of a function, from its signature to its closing brace; past it there are usually two ideas in it.
const FUNCTION_LINES_MAX: usize = 60;

/// Macros that mark what is not done, or not meant to stay.
const STUBS: &[&str] = &["todo", "unimplemented", "dbg"];

/// Names that say nothing: whatever would go in there has a noun of its own.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "types", "helpers", "models"];

/// Where somebody's checkout or home stood. Put together here, so that this file does not hold them itself.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/")];

/// The file begins with its `//!`.
pub(crate) fn module_doc_faults(file: &Source) -> Vec<String> {
    let path = &file.path;
    if file.text.starts_with("//!") {
        Vec::new()
    } else {
        vec![format!(
            "`{path}` does not begin with `//!`: what is it for?"
        )]
    }
}

/// The file is short, its tests apart.
pub(crate) fn file_length_faults(file: &Source) -> Vec<String> {
    let path = &file.path;
    let before_tests = file
        .text
        .lines()
        .take_while(|line| line.trim() != "#[cfg(test)]");
    match before_tests.count() {
        0..=FILE_LINES_MAX => Vec::new(),
        lines => vec![format!(
            "`{path}` has {lines} lines before its tests, more than {FILE_LINES_MAX}; which two nouns are in it?"
        )],
    }
}

/// Every function outside tests is short.
pub(crate) fn function_length_faults(file: &Source) -> Vec<String> {
    let mut finder = LongFunctionFinder {
        path: &file.path,
        faults: Vec::new(),
    };
    finder.visit_file(&file.syntax);
    finder.faults
}

/// Nothing is left to be done later.
pub(crate) fn stub_faults(file: &Source) -> Vec<String> {
    let mut finder = StubFinder {
        path: &file.path,
        faults: Vec::new(),
    };
    finder.visit_file(&file.syntax);
    finder.faults
}

/// The file, and every module that it declares, has a name that says something.
pub(crate) fn name_faults(file: &Source) -> Vec<String> {
    let mut finder = ModuleNameFinder { names: Vec::new() };
    finder.visit_file(&file.syntax);
    finder
        .names
        .extend(file.module().split('/').map(str::to_owned));
    finder.names.sort();
    finder.names.dedup();
    let empty = finder
        .names
        .iter()
        .filter(|name| EMPTY_NAMES.contains(&name.as_str()));
    empty
        .map(|name| format!("`{}`: `{name}` is no noun of the domain", file.path))
        .collect()
}

/// The text names no path of the machine that it was written on.
pub(crate) fn machine_path_faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        for machine in MACHINE_PATHS
            .iter()
            .filter(|machine| line.contains(*machine))
        {
            faults.push(format!(
                "`{path}` line {number} names `{machine}`, a path of one machine"
            ));
        }
    }
    faults
}

struct LongFunctionFinder<'a> {
    path: &'a str,
    faults: Vec<String>,
}

impl LongFunctionFinder<'_> {
    fn measure(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let from = signature.span().start().line;
        let lines = body.span().end().line - from + 1;
        if lines > FUNCTION_LINES_MAX {
            let path = self.path;
            let name = &signature.ident;
            self.faults.push(format!(
                "`{path}` line {from}: `{name}` has {lines} lines, more than {FUNCTION_LINES_MAX}; which two ideas are in it?"
            ));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctionFinder<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.measure(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

struct StubFinder<'a> {
    path: &'a str,
    faults: Vec<String>,
}

impl StubFinder<'_> {
    fn note(&mut self, name: &proc_macro2::Ident) {
        if STUBS.iter().any(|stub| name == stub) {
            let path = self.path;
            let line = name.span().start().line;
            self.faults
                .push(format!("`{path}` line {line} holds `{name}!`"));
        }
    }

    /// Finds `name!` in what is not parsed.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut before = None;
        for token in tokens {
            if let (Some(name), TokenTree::Punct(punct)) = (&before, &token)
                && punct.as_char() == '!'
            {
                self.note(name);
            }
            before = match token {
                TokenTree::Ident(ident) => Some(ident),
                TokenTree::Group(group) => {
                    self.note_tokens(group.stream());
                    None
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => None,
            };
        }
    }
}

impl<'ast> Visit<'ast> for StubFinder<'_> {
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(segment) = call.path.segments.last() {
            self.note(&segment.ident);
        }
        self.note_tokens(call.tokens.clone());
    }
}

struct ModuleNameFinder {
    names: Vec<String>,
}

impl<'ast> Visit<'ast> for ModuleNameFinder {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.names.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: fn(&Source) -> Vec<String>, text: &str, expected: &[&str]) {
        let found = rule(&Source::parse("retry/budget.rs", text));

        assert_eq!(found, expected, "in {text}");
    }

    #[test]
    fn a_file_that_does_not_say_what_it_is_for_is_a_fault() {
        check(module_doc_faults, "//! The budget.\nfn f() {}", &[]);
        check(
            module_doc_faults,
            "use std::fmt;\n",
            &["`retry/budget.rs` does not begin with `//!`: what is it for?"],
        );
    }

    #[test]
    fn only_the_lines_before_the_tests_count() {
        let line = "// A line.\n";
        let full = line.repeat(FILE_LINES_MAX);

        check(file_length_faults, &full, &[]);
        check(
            file_length_faults,
            &format!("{full}#[cfg(test)]\nmod tests {{}}\n{full}"),
            &[],
        );
        check(
            file_length_faults,
            &format!("{full}{line}"),
            &[
                "`retry/budget.rs` has 301 lines before its tests, more than 300; which two nouns are in it?",
            ],
        );
    }

    #[test]
    fn a_function_is_measured_from_its_signature_to_its_brace() {
        let fits = format!("fn f() {{\n{}}}", "g();\n".repeat(FUNCTION_LINES_MAX - 2));
        let over = format!("fn f() {{\n{}}}", "g();\n".repeat(FUNCTION_LINES_MAX - 1));
        let fault =
            "`retry/budget.rs` line 1: `f` has 61 lines, more than 60; which two ideas are in it?";

        check(function_length_faults, &fits, &[]);
        check(function_length_faults, &format!("/// Doc.\n{fits}"), &[]);
        check(function_length_faults, &over, &[fault]);
        check(
            function_length_faults,
            &format!("impl A {{ {over} }}"),
            &[fault],
        );
        check(
            function_length_faults,
            &format!("trait A {{ {over} }}"),
            &[fault],
        );
        check(
            function_length_faults,
            &format!("#[cfg(test)] mod tests {{ {over} }}"),
            &[],
        );
    }

    #[test]
    fn a_stub_is_found_wherever_it_hides() {
        check(stub_faults, "fn f() { done() }", &[]);
        check(
            stub_faults,
            "fn f() { todo!() }\nfn g() { core::unimplemented!(\"later\") }\nfn h() { println!(\"{}\", dbg!(1)); }",
            &[
                "`retry/budget.rs` line 1 holds `todo!`",
                "`retry/budget.rs` line 2 holds `unimplemented!`",
                "`retry/budget.rs` line 3 holds `dbg!`",
            ],
        );
    }

    #[test]
    fn a_word_that_only_looks_like_a_stub_is_none() {
        check(stub_faults, "fn todo() { let x = !dbg; }", &[]);
    }

    #[test]
    fn an_empty_module_name_is_a_fault_in_a_path_and_in_a_declaration() {
        check(name_faults, "mod bucket;", &[]);
        check(
            name_faults,
            "mod helpers { mod types; }",
            &[
                "`retry/budget.rs`: `helpers` is no noun of the domain",
                "`retry/budget.rs`: `types` is no noun of the domain",
            ],
        );
        assert_eq!(
            name_faults(&Source::parse("proxy/utils.rs", "")),
            ["`proxy/utils.rs`: `utils` is no noun of the domain"]
        );
    }

    #[test]
    fn a_path_of_one_machine_is_a_fault() {
        let text = format!("fine\nsee {}notes\n", MACHINE_PATHS[0]);

        let found = machine_path_faults("README.md", &text);

        let expected = format!(
            "`README.md` line 2 names `{}`, a path of one machine",
            MACHINE_PATHS[0]
        );
        assert_eq!(found, [expected]);
        assert!(machine_path_faults("README.md", "the network and the root\n").is_empty());
    }
}
