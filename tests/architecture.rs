//! The rooms of docs/ARCHITECTURE.md and the imports of src/ say the same. The document is what is
//! read here; whoever changes one changes both.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A row of the table: the rooms that it is about, and those they may use; `None` for all.
struct Row {
    rooms: Vec<String>,
    uses: Option<BTreeSet<String>>,
}

/// What stands between backticks, without the ending of a file or folder.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(|n| n.trim_end_matches('/').trim_end_matches(".rs").to_owned()).collect()
}

fn table() -> Vec<Row> {
    let document = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let lines = document.lines().skip_while(|line| !line.starts_with("| room |")).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let uses = (cells[3] != "all").then(|| names(cells[3]).into_iter().collect());
        Row { rooms: names(cells[1]), uses }
    });
    rows.collect()
}

/// Every file of src/ with its room and its lines that are no comments.
fn code() -> Vec<(PathBuf, String, Vec<String>)> {
    let mut all = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|e| e != "rs") {
                continue;
            }
            let path = path.strip_prefix(root().join("src")).unwrap().to_owned();
            let room = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = std::fs::read_to_string(root().join("src").join(&path)).unwrap();
            let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//")).map(str::to_owned);
            all.push((path, room, lines.collect()));
        }
    }
    all
}

/// The rooms that a line names: what stands behind `crate::`.
fn used(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(move |rest| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        assert!(end > 0, "a list behind crate:: is not read here: {line}");
        &rest[..end]
    })
}

#[test]
fn imports_are_the_arrows_of_the_table() {
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, room, lines) in code() {
        let used = lines.iter().flat_map(|line| used(line)).filter(|other| *other != room).map(str::to_owned);
        arrows.entry(room.clone()).or_default().extend(used);
    }
    let table = table();
    let listed: BTreeSet<_> = table.iter().flat_map(|row| row.rooms.iter().cloned()).collect();
    assert_eq!(arrows.keys().cloned().collect::<BTreeSet<_>>(), listed, "the rooms of src/ and of the table");
    let mut above = BTreeSet::new();
    for row in &table {
        for room in &row.rooms {
            let Some(allowed) = &row.uses else { continue };
            assert_eq!(&arrows[room], allowed, "what {room} uses, and what the table says");
            let upwards: Vec<_> = allowed.difference(&above).collect();
            assert!(upwards.is_empty(), "{room} stands above {upwards:?}");
        }
        above.extend(row.rooms.iter().cloned());
    }
    assert!(table.iter().filter(|row| row.uses.is_some()).count() > 10, "the table was not read");
}

/// The files whose code holds one of the words, but for those where it belongs.
fn holding(words: &[&str], belongs: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, _, lines) in code() {
        let belongs = belongs.iter().any(|place| path.starts_with(place));
        let holds = lines.iter().any(|line| words.iter().any(|word| line.to_ascii_lowercase().contains(word)));
        if holds && !belongs {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn vendors_are_named_in_the_demo_only() {
    let manifests = std::fs::read_dir(root().join("connectors")).unwrap();
    let vendors: Vec<_> = manifests
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    // a word of every day cannot be looked for
    let vendors: Vec<_> = vendors.iter().map(String::as_str).filter(|vendor| *vendor != "close").collect();
    assert!(vendors.contains(&"hubspot"));
    // query languages are called as their vendors call them
    assert_eq!(holding(&vendors, &["demo", "cli", "manifest/builtin.rs", "manifest/language.rs"]), [""; 0]);
}

#[test]
fn one_file_reads_the_clock() {
    let readings = ["instant::now(", "systemtime::now(", "timestamp::now(", "zoned::now("];
    assert_eq!(holding(&readings, &["clock.rs"]), [""; 0]);
    assert_eq!(holding(&readings, &[]), ["clock.rs"]);
}

#[test]
fn our_own_sql_is_in_the_store() {
    let sql = ["insert into ", "delete from ", "create table ", "alter table "];
    // manifest/sql refuses such statements when operators write them
    assert_eq!(holding(&sql, &["store", "demo", "manifest/sql"]), [""; 0]);
    assert!(!holding(&sql, &["demo"]).is_empty(), "there is SQL to be found");
}
