//! Markdown, as far as the site and the check of links must understand it: fences, headings, links,
//! and the programs that the site shows as tabs.

/// The lines of a page, and whether each is inside of a fenced block of code.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut fence: Option<&str> = None;
    text.lines().map(move |line| {
        let trimmed = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark));
        let was_inside = fence.is_some();
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        (line, was_inside || mark.is_some())
    })
}

/// Returns the level and the text of a heading.
pub(super) fn heading(line: &str) -> Option<(usize, &str)> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    (1..=6).contains(&level).then_some(())?;
    Some((level, text.strip_prefix(' ')?.trim()))
}

/// Returns the first heading of a page.
pub(super) fn title(text: &str) -> Option<&str> {
    lines(text).filter(|(_, is_code)| !is_code).find_map(|(line, _)| Some(heading(line)?.1))
}

/// Returns the anchors of a page's headings, as forges make them: in lower case, without
/// punctuation, with `-` for a space, and with a number if an earlier heading has the same text.
pub(super) fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut plain: Vec<String> = Vec::new();
    for (line, is_code) in lines(text) {
        let Some((_, heading)) = heading(line).filter(|_| !is_code) else { continue };
        let anchor = anchor(heading);
        let earlier = plain.iter().filter(|other| **other == anchor).count();
        plain.push(anchor.clone());
        found.push(if earlier == 0 { anchor } else { format!("{anchor}-{earlier}") });
    }
    found
}

/// Returns a line with the text of each link in its place.
pub(super) fn without_links(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, target)) = rest.split_once("](") {
        match before.rsplit_once('[') {
            Some((start, shown)) => text.extend([start, shown]),
            None => text.push_str(before),
        }
        rest = target.split_once(')').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text
}

fn anchor(heading: &str) -> String {
    let text = without_links(heading);
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let lower = text.to_lowercase();
    lower.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the text with the target of each inline link replaced by what `new` returns for it.
pub(super) fn with_links(text: &str, mut new: impl FnMut(&str) -> Option<String>) -> String {
    let mut result = String::with_capacity(text.len());
    for (line, is_code) in lines(text) {
        let mut rest = line;
        while let Some((before, from)) = rest.split_once("](").filter(|_| !is_code) {
            let Some((target, after)) = from.split_once(')') else { break };
            result.push_str(before);
            let in_code_span = before.matches('`').count() % 2 == 1;
            let replaced = if in_code_span { None } else { new(target) };
            result.extend(["](", replaced.as_deref().unwrap_or(target), ")"]);
            rest = after;
        }
        result.push_str(rest);
        result.push('\n');
    }
    result
}

/// Returns the page with each region between `<!-- tabs -->` and `<!-- /tabs -->` as tabs of
/// Zensical: one for each heading of the region, with what follows it.
pub(super) fn with_tabs(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut inside = false;
    for (line, is_code) in lines(text) {
        match line {
            "<!-- tabs -->" if !is_code => inside = true,
            "<!-- /tabs -->" if !is_code => inside = false,
            line if !inside => result.extend([line, "\n"]),
            line => result.push_str(&in_tab(line, is_code)),
        }
    }
    result
}

fn in_tab(line: &str, is_code: bool) -> String {
    match heading(line).filter(|_| !is_code) {
        Some((_, title)) => format!("=== \"{title}\"\n"),
        // The mark of a program says to a maintainer where the program is.
        None if line.starts_with("<!-- ") && !is_code => String::new(),
        None if line.is_empty() => "\n".to_owned(),
        None => format!("    {line}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::{anchors, title, with_links, with_tabs};

    #[test]
    fn a_heading_inside_of_code_is_none() {
        let page = "<!-- made -->\n\n# A page\n\n```sh\n# a comment\n```\n\n## A page\n";
        assert_eq!(title(page), Some("A page"));
        assert_eq!(anchors(page), ["a-page", "a-page-1"]);
    }

    #[test]
    fn an_anchor_keeps_what_a_forge_keeps() {
        let page = "## What `sent` says: nothing, [maybe](x.md) or all\n## C++ & C\n";
        assert_eq!(anchors(page), ["what-sent-says-nothing-maybe-or-all", "c--c"]);
    }

    #[test]
    fn links_in_code_stay() {
        let page = "[a](b.md) and `[c](d.md)`\n```\n[e](f.md)\n```\n";
        let changed = with_links(page, |target| Some(target.to_uppercase()));
        assert_eq!(changed, "[a](B.MD) and `[c](d.md)`\n```\n[e](f.md)\n```\n");
    }

    #[test]
    fn a_region_becomes_tabs_and_the_rest_stays() {
        let page = "x\n\n<!-- tabs -->\n#### C\n\n<!-- a.c -->\n```c\n# if\n```\n<!-- /a.c -->\n<!-- /tabs -->\ny\n";
        assert_eq!(with_tabs(page), "x\n\n=== \"C\"\n\n    ```c\n    # if\n    ```\ny\n");
    }
}
