//! The result: one row a measurement, one column a system, and the ratio to Kafka.

use std::fmt::Write;

/// Whether more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Throughput.
    More,
    /// Time, memory, CPU.
    Less,
}

/// One measurement: its name, its unit, what each column measured (every round).
#[derive(Debug, Clone)]
pub struct Row {
    /// What was measured, with its unit.
    pub name: String,
    /// Whether more is better.
    pub better: Better,
    /// The values of each column, by column name.
    pub values: Vec<(String, f64)>,
}

/// All rows so far.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Adds a value to its row and column; several rounds give several values.
    pub fn add(&mut self, name: &str, better: Better, column: &str, value: f64) {
        let at = self.rows.iter().position(|row| row.name == name);
        let at = at.unwrap_or_else(|| {
            self.rows.push(Row { name: name.to_owned(), better, values: Vec::new() });
            self.rows.len() - 1
        });
        if let Some(row) = self.rows.get_mut(at) {
            row.values.push((column.to_owned(), value));
        }
    }

    /// As text. The middle value of the rounds stands for a column; the first column is what the
    /// others are compared with, so that a ratio above 1 is better than it.
    pub fn render(&self) -> String {
        let columns = self.columns();
        let mut text = String::new();
        let line = |text: &mut String, cells: Vec<String>| {
            let mut cells = cells.into_iter();
            let _ = write!(text, "{:44}", cells.next().unwrap_or_default());
            cells.for_each(|cell| {
                let _ = write!(text, "{cell:>26}");
            });
            text.push('\n');
        };
        let mut head = vec![String::new()];
        head.extend(columns.iter().cloned());
        line(&mut text, head);
        for row in &self.rows {
            let base = columns.first().and_then(|column| middle(row, column));
            let mut cells = vec![row.name.clone()];
            for (number, column) in columns.iter().enumerate() {
                cells.push(cell(row, column, base.filter(|_| number > 0)));
            }
            line(&mut text, cells);
        }
        text
    }

    fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = Vec::new();
        for (column, _) in self.rows.iter().flat_map(|row| &row.values) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        columns
    }
}

fn middle(row: &Row, column: &str) -> Option<f64> {
    let mut values: Vec<f64> =
        row.values.iter().filter(|(name, _)| name == column).map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn cell(row: &Row, column: &str, base: Option<f64>) -> String {
    let Some(value) = middle(row, column) else { return "-".to_owned() };
    let digits = if value >= 100.0 { 0 } else { 2 };
    let ratio = base.filter(|base| *base > 0.0 && value > 0.0).map(|base| match row.better {
        Better::More => value / base,
        Better::Less => base / value,
    });
    match ratio {
        Some(ratio) => format!("{value:.digits$} ({ratio:.2}x)"),
        None => format!("{value:.digits$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_rounds_and_ratios_where_more_than_one_is_better() {
        let mut table = Table::default();
        for value in [90.0, 100.0, 400.0] {
            table.add("records/s", Better::More, "Kafka", value);
        }
        table.add("records/s", Better::More, "Chronik", 150.0);
        table.add("p99 ms", Better::Less, "Kafka", 50.0);
        table.add("p99 ms", Better::Less, "Chronik", 5.0);
        let text = table.render();
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["Kafka", "Chronik"]);
        assert_eq!(lines[1], ["records/s", "100", "150", "(1.50x)"]);
        assert_eq!(lines[2], ["p99", "ms", "50.00", "5.00", "(10.00x)"]);
    }
}
