//! Tables and pairs, for people and for `grep`.

use std::borrow::Cow;

use comfy_table::{CellAlignment, Table, presets};

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Text(&'static str),
    Number(&'static str),
}

/// A table without lines, since lines are hard to copy and to `grep`.
pub(crate) fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|column| match column {
        Column::Text(name) | Column::Number(name) => *name,
    }));
    for row in rows {
        table.add_row(row.iter().map(|cell| harmless(cell)));
    }
    for (index, column) in columns.iter().enumerate() {
        if let Some(set) = table.column_mut(index) {
            set.set_padding((0, 2));
            if matches!(column, Column::Number(_)) {
                set.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    lines_without_tails(&table.to_string())
}

/// Names and values, one pair a line.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name:width$}  {}", harmless(value))).collect();
    lines_without_tails(&lines.join("\n"))
}

/// What stands for a value that is not there.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

/// People write what is shown here, and must not command the terminal of who reads it, or break a row in two.
fn harmless(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().into()
    } else {
        text.into()
    }
}

fn lines_without_tails(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Column, pairs, table};

    #[test]
    fn what_people_wrote_does_not_command_the_terminal() {
        let evil = "a\u{1b}[2Jb\nc\u{9b}d".to_owned();
        let shown = table(&[Column::Text("NAME")], [vec![evil.clone()]]);
        assert_eq!(shown, "NAME\na [2Jb c d");
        assert_eq!(pairs(&[("name", evil)]), "name  a [2Jb c d");
    }
}
