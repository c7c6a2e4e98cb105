//! Drafts of changes to a policy's document: its text with a few lines changed, and the difference as people read it.
//!
//! A draft is made in the text, so that comments and order stay as they are. Documents can be written in ways that this
//! does not understand; whoever makes a draft compiles it and looks whether it says what it should.

/// The place of a table's lines, counted from 0: the line after its key, and the line after its last.
fn table(lines: &[&str], key: &str) -> Option<(usize, usize)> {
    let starts = |line: &&str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
    let first = lines.iter().position(starts)? + 1;
    let inside = |line: &&&str| line.is_empty() || line.starts_with([' ', '\t', '#', '-']);
    let length = lines.iter().skip(first).take_while(inside).count();
    // Blank lines and comments before the next key belong to that.
    let body = lines.iter().skip(first).take(length);
    let trailing = body.rev().take_while(|line| line.is_empty() || line.starts_with('#')).count();
    Some((first, first + length - trailing))
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// `text` with another sensitivity for the hazard `name`.
pub(crate) fn with_sensitivity(text: &str, name: &str, sensitivity: &str) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let view: Vec<&str> = text.lines().collect();
    let (first, end) = table(&view, "hazards")?;
    let body = view.get(first..end)?;
    let own = body.iter().position(|line| {
        line.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(':'))
    });
    let Some(own) = own else {
        let indent =
            body.iter().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let indent = " ".repeat(indent.map_or(2, |line| indentation(line)));
        lines.insert(end, format!("{indent}{name}: {{ sensitivity: {sensitivity} }}"));
        return Some(joined(&lines));
    };
    let line = view.get(first + own)?;
    if line.contains('{') {
        *lines.get_mut(first + own)? = in_braces(line, sensitivity)?;
        return Some(joined(&lines));
    }
    let own_indent = indentation(line);
    let deeper = |line: &&&str| indentation(line) > own_indent;
    let below = body
        .iter()
        .skip(own + 1)
        .take_while(deeper)
        .position(|line| line.trim_start().starts_with("sensitivity:"));
    match below {
        Some(below) => {
            let old = view.get(first + own + 1 + below)?;
            *lines.get_mut(first + own + 1 + below)? =
                format!("{}sensitivity: {sensitivity}", " ".repeat(indentation(old)));
        }
        None => lines.insert(
            first + own + 1,
            format!("{}sensitivity: {sensitivity}", " ".repeat(indentation(line) + 2)),
        ),
    }
    Some(joined(&lines))
}

/// A line such as `hate: { input: block }` with another sensitivity.
fn in_braces(line: &str, sensitivity: &str) -> Option<String> {
    let (before, rest) = line.split_once('{')?;
    let (inside, after) = rest.split_once('}')?;
    let others = inside
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty() && !pair.starts_with("sensitivity"));
    let mut pairs: Vec<&str> = others.collect();
    let pair = format!("sensitivity: {sensitivity}");
    pairs.insert(0, &pair);
    Some(format!("{before}{{ {} }}{after}", pairs.join(", ")))
}

/// `text` with one more exemption: `item` has the lines of its table.
pub(crate) fn with_exemption(text: &str, item: &[String]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let view: Vec<&str> = text.lines().collect();
    let indented = |spaces: usize| {
        let pad = " ".repeat(spaces);
        item.iter().enumerate().map(move |(number, line)| {
            format!("{pad}{}{line}", if number == 0 { "- " } else { "  " })
        })
    };
    match table(&view, "exemptions") {
        Some((first, end)) => {
            let spaces = view.get(first).map_or(2, |line| indentation(line));
            if let Some(key) = lines.get_mut(first - 1) {
                // An empty list may stand on the line of its key.
                *key = key.replacen(" []", "", 1);
            }
            lines.splice(end..end, indented(spaces));
        }
        None => {
            lines.extend(["".to_owned(), "exemptions:".to_owned()]);
            lines.extend(indented(2));
        }
    }
    joined(&lines)
}

fn joined(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// Lines that are shown around a change.
const CONTEXT: usize = 3;

/// The difference between two texts that differ in one place, as `diff -u` writes it.
pub(crate) fn difference(file: &str, before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - same;
    let alike =
        old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    let first = same.saturating_sub(CONTEXT);
    let tail = alike.min(CONTEXT);
    let (removed, added) = (old.len() - same - alike, new.len() - same - alike);
    let around = same - first + tail;
    let mut text = format!(
        "--- {file}\n+++ {file}\n@@ -{},{} +{},{} @@\n",
        first + 1,
        removed + around,
        first + 1,
        added + around
    );
    let mut write = |sign: char, lines: &[&str], from: usize, count: usize| {
        for line in lines.iter().skip(from).take(count) {
            text.push(sign);
            text.push_str(line);
            text.push('\n');
        }
    };
    write(' ', &old, first, same - first);
    write('-', &old, same, removed);
    write('+', &new, same, added);
    write(' ', &old, same + removed, tail);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "\
version: 1
hazards:
  defaults: { sensitivity: low, input: flag }
  # a comment
  hate:     { input: block, sensitivity: high } # S10
  privacy:  {}
  elections:
    input: allow
    sensitivity: low

# what follows
messages:
  default: { en: \"No.\" }
";

    #[test]
    fn a_sensitivity_changes_in_its_place_and_nowhere_else() {
        for (name, line) in [
            ("hate", "  hate:     { sensitivity: 0.5, input: block } # S10"),
            ("privacy", "  privacy:  { sensitivity: 0.5 }"),
            ("elections", "    sensitivity: 0.5"),
            ("jailbreak", "  jailbreak: { sensitivity: 0.5 }"),
        ] {
            let after = with_sensitivity(POLICY, name, "0.5").expect("it has a table of hazards");
            let diff = difference("policy.yaml", POLICY, &after);
            let added: Vec<&str> =
                diff.lines().filter(|l| l.starts_with('+') && !l.starts_with("+++")).collect();
            assert_eq!(added, [format!("+{line}")], "{name}\n{diff}");
            assert!(
                diff.lines().filter(|l| l.starts_with('-') && !l.starts_with("---")).count() <= 1
            );
        }
        assert_eq!(with_sensitivity("version: 1\n", "hate", "0.5"), None);
    }

    #[test]
    fn an_exemption_joins_the_others_or_begins_the_list() {
        let item = ["id: EX-1".to_owned(), "key: clinic".to_owned()];
        let after = with_exemption(POLICY, &item);
        assert!(after.ends_with("\nexemptions:\n  - id: EX-1\n    key: clinic\n"), "{after}");
        let again = with_exemption(&format!("{after}tests:\n  - name: a\n"), &item);
        assert!(
            again.contains("    key: clinic\n  - id: EX-1\n    key: clinic\ntests:"),
            "{again}"
        );
        let empty = with_exemption("version: 1\nexemptions: []\n", &item);
        assert_eq!(empty, "version: 1\nexemptions:\n  - id: EX-1\n    key: clinic\n");
    }
}
