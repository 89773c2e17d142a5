//! docs/SECURITY.md names tests; they exist.

use std::path::Path;

#[test]
fn every_test_that_the_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/SECURITY.md")).unwrap();
    let named = document.split('`').filter_map(|code| code.split_once(".rs::"));
    let mut count = 0;
    for (file, name) in named {
        let text = std::fs::read_to_string(root.join(format!("{file}.rs"))).unwrap();
        assert!(text.contains(&format!("fn {name}(")), "{file}.rs has no {name}");
        count += 1;
    }
    let rows = document.lines().filter(|line| line.starts_with("| ")).count();
    assert!(count > rows - 1, "{count} tests for {rows} lines");
}
