//! Which topic names are allowed, and which are too alike. What exists is left to the state.

/// The longest topic name, in characters.
pub const TOPIC_NAME_CHARS_MAX: usize = 249;

/// Why a name cannot be a topic's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No characters at all.
    #[error("a topic name must not be empty")]
    Empty,
    /// `.` or `..`.
    #[error("a topic cannot be named {0:?}: it would be a directory's name")]
    Dots(String),
    /// Too many characters.
    #[error("a topic name has at most {TOPIC_NAME_CHARS_MAX} characters, this one has {0}")]
    TooLong(usize),
    /// A character that is not allowed.
    #[error(
        "topic name {name:?} has the character {bad:?}; use only letters, digits, '.', '_' and '-'"
    )]
    Character {
        /// The name.
        name: String,
        /// The first character that is not allowed.
        bad: char,
    },
}

/// Kafka's rules for topic names.
pub fn check_topic_name(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name == "." || name == ".." {
        return Err(NameError::Dots(name.to_owned()));
    }
    let chars = name.chars().count();
    if chars > TOPIC_NAME_CHARS_MAX {
        return Err(NameError::TooLong(chars));
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))) {
        Some(bad) => Err(NameError::Character { name: name.to_owned(), bad }),
        None => Ok(()),
    }
}

/// Whether two names are the same once `.` is written as `_`, as metric names have it.
#[must_use]
pub fn collide(a: &str, b: &str) -> bool {
    let plain = |c: u8| if c == b'.' { b'_' } else { c };
    a.len() == b.len() && a.bytes().map(plain).eq(b.bytes().map(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "A.b_c-9", "...", "__consumer_offsets", &"x".repeat(249)] {
            assert_eq!(check_topic_name(good), Ok(()), "{good}");
        }
        assert_eq!(check_topic_name(""), Err(NameError::Empty));
        assert_eq!(check_topic_name("."), Err(NameError::Dots(".".into())));
        assert_eq!(check_topic_name(".."), Err(NameError::Dots("..".into())));
        assert_eq!(check_topic_name(&"x".repeat(250)), Err(NameError::TooLong(250)));
        for (name, bad) in [("a b", ' '), ("a/b", '/'), ("ä", 'ä'), ("a\0", '\0')] {
            let expected = NameError::Character { name: name.into(), bad };
            assert_eq!(check_topic_name(name), Err(expected));
        }
    }

    #[test]
    fn collisions() {
        assert!(collide("a.b", "a_b"));
        assert!(collide("a.b", "a.b"));
        assert!(!collide("a.b", "a-b"));
        assert!(!collide("a.b", "a.bc"));
    }
}
