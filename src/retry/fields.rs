//! Which fields a message's head has, found in one pass over the few that are there.
//!
//! A look-up in a [`HeaderMap`] hashes the name that is looked for: 100 instructions, and 200 for a name that HTTP's own lists
//! do not have. Most of what redrive looks for is hardly ever there, and to see that takes 5 a field.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Which of these names are there.
pub fn present<const N: usize>(headers: &HeaderMap, names: &[HeaderName; N]) -> [bool; N] {
    let mut present = [false; N];
    for field in headers.keys() {
        for (is_there, name) in present.iter_mut().zip(names) {
            *is_there |= field == name;
        }
    }
    present
}

/// Whether a name is there.
pub fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|field| field == name)
}

/// The first value of a name that is rarely there.
pub fn rare<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    if has(headers, name) {
        headers.get(name)
    } else {
        None
    }
}

/// Puts a value in the place of whatever a name has.
///
/// To append is what reading a head does with each field, so its code is at hand; that of [`HeaderMap::insert`] is not.
pub fn set(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let is_each_single = headers.len() == headers.keys_len();
    match headers.get_mut(&name) {
        Some(old) if is_each_single => *old = value,
        Some(_) => {
            headers.insert(name, value);
        }
        None => {
            headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, COOKIE, HOST};

    use super::*;

    #[test]
    fn what_is_there_is_found_and_nothing_else() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("a"));
        headers.append(COOKIE, HeaderValue::from_static("first"));
        headers.append(COOKIE, HeaderValue::from_static("second"));

        assert_eq!(
            present(&headers, &[ACCEPT, COOKIE, HOST]),
            [false, true, true]
        );
        assert!(has(&headers, &HOST) && !has(&headers, &ACCEPT));
        assert_eq!(rare(&headers, &COOKIE).unwrap(), "first");
        assert_eq!(rare(&headers, &ACCEPT), None);
    }

    #[test]
    fn what_is_set_is_alone() {
        let mut headers = HeaderMap::new();
        let mut check = |name: &HeaderName, value: &'static str| {
            set(&mut headers, name.clone(), HeaderValue::from_static(value));
            let all: Vec<_> = headers.get_all(name).into_iter().cloned().collect();
            assert_eq!(all, [value]);
            headers.append(name, HeaderValue::from_static("another"));
        };

        check(&HOST, "first");
        check(&HOST, "in the place of two");
        check(&COOKIE, "beside two of another name");
        assert_eq!((headers.len(), headers.keys_len()), (4, 2));
        headers.remove(HOST);
        headers.remove(COOKIE);
        set(&mut headers, HOST, HeaderValue::from_static("first"));
        set(&mut headers, HOST, HeaderValue::from_static("in its place"));
        assert_eq!(
            headers.get_all(HOST).iter().collect::<Vec<_>>(),
            ["in its place"]
        );
    }
}
