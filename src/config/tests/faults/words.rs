//! Words that are none of those that a key takes.

use super::check;

#[test]
fn words_that_are_none_are_marked_one_by_one() {
    check(
        "[retry]\nproof = \"strickt\"",
        "3:9",
        "\"strickt\"",
        &["expected \"usual\" or \"strict\"; did you mean \"strict\"?"],
    );
    check(
        "[retry]\nproof = \"Strict\"",
        "3:9",
        "\"Strict\"",
        &["did you mean \"strict\"?"],
    );
    check(
        "host = \"elsewhere\"",
        "2:8",
        "\"elsewhere\"",
        &["expected \"upstream\" or \"client\"\n"],
    );
    check(
        "[retry]\non = \"throttled\"",
        "3:6",
        "\"throttled\"",
        &["a list of"],
    );
    check(
        "[retry]\non = [\"throttled\", \"brokn\"]",
        "3:20",
        "\"brokn\"",
        &["cannot hold `brokn`", "did you mean \"broken\"?"],
    );
    for senseless in ["ok", "quota", "permanent"] {
        let text = format!("[retry]\non = [\"{senseless}\"]");
        check(
            &text,
            "3:7",
            &format!("\"{senseless}\""),
            &["a class that another attempt can mend"],
        );
    }
    check(
        "[retry]\non = [\"cancelled\"]",
        "3:7",
        "\"cancelled\"",
        &["expected \"throttled\""],
    );
    check(
        "[retry]\non = [\"broken\", \"broken\"]",
        "3:17",
        "\"broken\"",
        &["each word once"],
    );
    check("[retry]\non = [7]", "3:7", "7", &["cannot hold `7`"]);
    check(
        "[retry]\nmarker_header = \"x gw\"",
        "3:17",
        "\"x gw\"",
        &["a header name"],
    );
    check(
        "[deadline]\nheader = \"\"",
        "3:10",
        "\"\"",
        &["a header name"],
    );
}
