//! The rooms of the core and the imports between them, read from the tokens of its sources.
//!
//! `docs/architecture.md` lists the rooms from top to bottom. A room may import the rooms below it;
//! an import that runs upward fails the suite. Tests may import what they like.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::command::{Failure, Result};
use crate::paths;
use crate::table::Table;

/// The heading of the table in `docs/architecture.md`, and the room that only the root may skip.
const HEADING: &str = "## The rooms of the core";

/// Checks that every room is listed and that no import runs upward; returns the closing line.
pub(crate) fn test() -> Result<String> {
    let listed = listed_rooms(&paths::read(&paths::root().join("docs/architecture.md"))?)?;
    let structure = Structure::read(&paths::root().join("core").join("src"))?;
    let faults = structure.faults(&listed);
    if !faults.is_empty() {
        let what = format!("{} faults in the structure of the core", faults.len());
        return Err(Failure::with_output(what, faults.join("\n")));
    }
    Ok(structure.closing())
}

/// Prints the rooms with their imports, and the circles between files.
pub(crate) fn show() -> Result {
    let structure = Structure::read(&paths::root().join("core").join("src"))?;
    let mut table = Table::new(&["room", "files", "lines", "imports"]);
    let arrows = structure.arrows();
    for (room, files) in structure.rooms() {
        let lines: usize = files.iter().map(|file| structure.files[*file].lines).sum();
        let imports: Vec<&str> =
            arrows.iter().filter(|(from, _)| *from == room).map(|(_, to)| *to).collect();
        table.row([room, &files.len().to_string(), &lines.to_string(), &imports.join(" ")]);
    }
    print!("\n{}", table.render());
    for circle in structure.circles() {
        println!("\ncircle of {} files: {}", circle.len(), circle.join(" "));
    }
    println!("\n{}", structure.closing());
    Ok(())
}

/// The sources of a crate, by the path of their module (`net::url`; the root is empty).
struct Structure {
    files: BTreeMap<String, SourceFile>,
}

struct SourceFile {
    lines: usize,
    /// Paths behind `crate::`, as far as they are written in one place.
    imports: BTreeSet<String>,
}

impl Structure {
    fn read(folder: &Path) -> Result<Structure> {
        let mut files = BTreeMap::new();
        for path in sources(folder)? {
            let inside = path.strip_prefix(folder).expect("listed below it");
            let module = module_of(inside);
            let text = paths::read(&path)?;
            let tokens: TokenStream =
                text.parse().map_err(|error| Failure::at("cannot parse", &path, &error))?;
            let mut imports = BTreeSet::new();
            let scope: Vec<String> =
                module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            // A file of tests may import every room, as a test inside of a file may.
            if !module.ends_with("_tests") {
                collect(tokens, &scope, &mut imports);
            }
            files.insert(module, SourceFile { lines: text.lines().count(), imports });
        }
        Ok(Structure { files })
    }

    /// The first part of each module's path, with the modules in it.
    fn rooms(&self) -> BTreeMap<&str, Vec<&String>> {
        let mut rooms: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
        for module in self.files.keys().filter(|module| !module.is_empty()) {
            rooms.entry(room_of(module)).or_default().push(module);
        }
        rooms
    }

    /// Which room imports which.
    fn arrows(&self) -> BTreeSet<(&str, &str)> {
        let mut arrows = BTreeSet::new();
        for (module, file) in &self.files {
            for import in &file.imports {
                let (from, to) = (room_of(module), room_of(import));
                if from != to && !module.is_empty() && self.is_room(to) {
                    arrows.insert((from, to));
                }
            }
        }
        arrows
    }

    fn is_room(&self, name: &str) -> bool {
        self.files.keys().any(|module| room_of(module) == name)
    }

    /// Rooms that are not listed, rooms that are listed and missing, imports that run upward.
    fn faults(&self, listed: &[String]) -> Vec<String> {
        let rank = |room: &str| listed.iter().position(|listed| listed == room);
        let mut faults: Vec<String> = listed
            .iter()
            .filter(|room| !self.is_room(room))
            .map(|room| format!("docs/architecture.md lists {room}, which does not exist"))
            .collect();
        for room in self.rooms().keys().filter(|room| rank(room).is_none()) {
            faults.push(format!("docs/architecture.md does not list {room}"));
        }
        for (module, file) in self.files.iter().filter(|(module, _)| !module.is_empty()) {
            for import in &file.imports {
                let (from, to) = (room_of(module), room_of(import));
                if let (Some(here), Some(there)) = (rank(from), rank(to))
                    && there < here
                {
                    faults.push(format!("{module} imports {import}, from a room above it"));
                }
            }
        }
        faults
    }

    /// Groups of files that import each other, the largest first. A parent module that only declares
    /// and re-exports its children imports none of them.
    fn circles(&self) -> Vec<Vec<&str>> {
        let names: Vec<&String> = self.files.keys().filter(|module| !module.is_empty()).collect();
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            names.iter().map(|name| (name.as_str(), self.reachable(name))).collect();
        let mut circles: Vec<Vec<&str>> = Vec::new();
        for name in &names {
            if circles.iter().flatten().any(|known| known == name) {
                continue;
            }
            let together: Vec<&str> = names
                .iter()
                .map(|other| other.as_str())
                .filter(|other| {
                    reach[name.as_str()].contains(other) && reach[other].contains(name.as_str())
                })
                .collect();
            if together.len() > 1 {
                circles.push(together);
            }
        }
        circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
        circles
    }

    /// The files that one imports, directly or by others.
    fn reachable(&self, from: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut next = vec![from];
        while let Some(module) = next.pop() {
            for import in &self.files[module].imports {
                if let Some(file) = self.file_of(import)
                    && file != module
                    && found.insert(file)
                {
                    next.push(file);
                }
            }
        }
        found
    }

    /// The file that defines a path: the longest prefix that is a module.
    fn file_of(&self, import: &str) -> Option<&str> {
        let mut path = import;
        loop {
            if let Some((module, _)) = self.files.get_key_value(path) {
                return Some(module);
            }
            path = path.rsplit_once("::")?.0;
        }
    }

    fn closing(&self) -> String {
        let circles = self.circles();
        format!(
            "{} rooms, {} arrows, {} circles of {} files; none upward",
            self.rooms().len(),
            self.arrows().len(),
            circles.len(),
            circles.iter().map(Vec::len).sum::<usize>()
        )
    }
}

fn room_of(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

/// `net/url.rs` is `net::url`, `net/mod.rs` is `net`, `lib.rs` is the root.
fn module_of(inside: &Path) -> String {
    let text = inside.with_extension("").display().to_string().replace('/', "::");
    match text.as_str() {
        "lib" => String::new(),
        _ => text.strip_suffix("::mod").unwrap_or(&text).to_owned(),
    }
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = paths::files_below(folder, &|_| false)?;
    found.retain(|file| paths::has_extension(file, "rs"));
    Ok(found)
}

/// Adds each path that begins with `crate::` or `super::`; passes over items for tests.
///
/// * `scope`: the path of the module that the tokens stand in.
fn collect(tokens: TokenStream, scope: &[String], imports: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at += 2;
            at += item_length(&tokens[at..]);
            continue;
        }
        match &tokens[at] {
            TokenTree::Group(group) => collect(group.stream(), scope, imports),
            TokenTree::Ident(word) if *word == "crate" || *word == "super" => {
                at = path(&tokens, at, scope, imports);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
}

/// Reads one path from its first word on; returns where it ends.
fn path(
    tokens: &[TokenTree],
    mut at: usize,
    scope: &[String],
    imports: &mut BTreeSet<String>,
) -> usize {
    let mut parts: Vec<String> = Vec::new();
    let mut up = 0;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(word)) if *word == "crate" => {}
            Some(TokenTree::Ident(word)) if *word == "super" => up += 1,
            Some(TokenTree::Ident(word)) => parts.push(word.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let base = absolute(scope, up, &parts);
                branches(group.stream(), &base, imports);
                return at + 1;
            }
            _ => break,
        }
        at += 1;
        if !is_separator(tokens, at) {
            break;
        }
        at += 2;
    }
    let found = absolute(scope, up, &parts);
    if !found.is_empty() {
        imports.insert(found.join("::"));
    }
    at
}

/// Adds each branch of `{a, b::{c, d}}` below its base.
fn branches(tokens: TokenStream, base: &[String], imports: &mut BTreeSet<String>) {
    let mut parts = base.to_vec();
    for token in tokens {
        match token {
            TokenTree::Ident(word) if word != "self" && word != "as" => {
                parts.push(word.to_string());
            }
            TokenTree::Group(group) => {
                branches(group.stream(), &parts, imports);
                parts = Vec::new();
            }
            TokenTree::Punct(mark) if mark.as_char() == ',' => {
                if !parts.is_empty() {
                    imports.insert(parts.join("::"));
                }
                parts = base.to_vec();
            }
            _ => {}
        }
    }
    if !parts.is_empty() {
        imports.insert(parts.join("::"));
    }
}

/// A path from the root of the crate. `super` of a file is its parent module.
fn absolute(scope: &[String], up: usize, parts: &[String]) -> Vec<String> {
    let base = if up == 0 { &[] } else { &scope[..scope.len().saturating_sub(up)] };
    base.iter().chain(parts).cloned().collect()
}

fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
    colon(tokens.get(at)) && colon(tokens.get(at + 1))
}

/// `#[cfg(test)]`, `#[cfg(any(test, …))]` and the like.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    let [TokenTree::Punct(mark), TokenTree::Group(attribute), ..] = tokens else { return false };
    if mark.as_char() != '#' || attribute.delimiter() != Delimiter::Bracket {
        return false;
    }
    let text = attribute.stream().to_string().replace(' ', "");
    text.starts_with("cfg(") && (text.contains("(test)") || text.contains("(test,"))
}

/// How many tokens the next item has: up to its semicolon or its block.
fn item_length(tokens: &[TokenTree]) -> usize {
    let end = tokens.iter().position(|token| match token {
        TokenTree::Punct(mark) => mark.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    });
    end.map_or(tokens.len(), |end| end + 1)
}

/// The rooms that the page lists, from top to bottom.
fn listed_rooms(page: &str) -> Result<Vec<String>> {
    let section = page
        .split_once(HEADING)
        .map(|(_, behind)| behind.split("\n## ").next().unwrap_or_default())
        .ok_or_else(|| Failure::new(format!("docs/architecture.md has no heading {HEADING}")))?;
    let rooms: Vec<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(room, _)| room.trim_end_matches('/').to_owned())
        .collect();
    if rooms.len() < 10 {
        return Err(Failure::new("the table of rooms in docs/architecture.md was not understood"));
    }
    Ok(rooms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(files: &[(&str, &str)]) -> Structure {
        let file = |(module, text): &(&str, &str)| {
            let scope: Vec<String> = module.split("::").map(str::to_owned).collect();
            let mut imports = BTreeSet::new();
            collect(text.parse().unwrap(), &scope, &mut imports);
            ((*module).to_owned(), SourceFile { lines: 1, imports })
        };
        Structure { files: files.iter().map(file).collect() }
    }

    fn rooms(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_planted_import_is_found_however_it_is_written() {
        let planted = [
            "use crate::top::Thing;",
            "use crate::{ground, top::{Thing, other}};",
            "use crate::{ground::{a, b}, top};",
            "fn f() { let _ = crate::top::thing(); }",
            "use super::top::Thing;",
            "impl From<crate::top::Thing> for u8 {}",
            "macro_rules! m { () => { crate::top::thing() } }",
        ];
        for text in planted {
            let structure = structure(&[("top", ""), ("low", text), ("ground", "")]);
            let faults = structure.faults(&rooms(&["top", "low", "ground"]));
            assert_eq!(
                faults.len(),
                if text.contains("other") { 2 } else { 1 },
                "{text}: {faults:?}"
            );
            assert!(faults[0].contains("from a room above it"), "{text}");
        }
    }

    #[test]
    fn imports_downward_comments_strings_and_tests_are_no_fault() {
        let innocent = "//! See crate::top.\nuse crate::ground::Thing;\nconst A: &str = \"crate::top\";\n\
                        #[cfg(test)]\nmod tests { use crate::top; }\n\
                        #[cfg(any(test, feature = \"x\"))]\nuse crate::top::y;\n";
        let structure = structure(&[("top", ""), ("low", innocent), ("ground", "")]);
        assert_eq!(structure.faults(&rooms(&["top", "low", "ground"])), Vec::<String>::new());
        assert_eq!(structure.arrows().into_iter().collect::<Vec<_>>(), [("low", "ground")]);
    }

    #[test]
    fn a_room_that_is_not_listed_or_not_there_is_a_fault() {
        let structure = structure(&[("low", ""), ("new::file", "")]);
        let faults = structure.faults(&rooms(&["low", "gone"]));
        assert!(faults[0].contains("lists gone"), "{faults:?}");
        assert!(faults[1].contains("does not list new"), "{faults:?}");
    }

    #[test]
    fn files_that_import_each_other_are_a_circle() {
        let files = [
            ("a::x", "use super::y::Y;"),
            ("a::y", "use crate::b::B;"),
            ("b", "use crate::a::x::X;"),
            ("c", "use crate::b::B;"),
        ];
        assert_eq!(structure(&files).circles(), [["a::x", "a::y", "b"]]);
    }

    #[test]
    fn rooms_are_read_from_the_page_in_its_order() {
        let rows: Vec<String> = (0..10).map(|n| format!("| `room{n}/` | what |")).collect();
        let page = format!(
            "# A\n{HEADING}\n\n| room | what |\n| --- | --- |\n{}\n\n## B\n| `no` |",
            rows.join("\n")
        );
        assert_eq!(listed_rooms(&page).unwrap().len(), 10);
        assert!(listed_rooms("# A").is_err());
    }
}
