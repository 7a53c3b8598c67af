//! Text inside HTML and SVG.

use std::fmt::{self, Write};

/// Text that stays text, whatever it contains: in an element, and in an attribute between double quotes.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A table: a head, then rows, of which the first cell names the row.
pub fn table(f: &mut fmt::Formatter<'_>, head: &[&str], rows: &[Vec<String>]) -> fmt::Result {
    f.write_str("<table>\n<tr>")?;
    for cell in head {
        write!(f, "<th>{}</th>", Escaped(cell))?;
    }
    f.write_str("</tr>\n")?;
    for row in rows {
        f.write_str("<tr>")?;
        for (at, cell) in row.iter().enumerate() {
            let cell = Escaped(cell);
            match at {
                0 => write!(f, "<th scope=\"row\">{cell}</th>")?,
                _ => write!(f, "<td>{cell}</td>")?,
            }
        }
        f.write_str("</tr>\n")?;
    }
    f.write_str("</table>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_text_is_read_as_markup() {
        assert_eq!(Escaped("<b> & \"'").to_string(), "&lt;b&gt; &amp; &quot;&#39;");
        assert_eq!(Escaped("REGISTER 403").to_string(), "REGISTER 403");
    }
}
