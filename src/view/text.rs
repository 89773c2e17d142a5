//! Text that leaves the gateway for a call flow: one line, capped, and without any letter that
//! JSON, TwiML, Liquid or HTML would read as its own.

use crate::config::Mask;
use crate::domain::Value;

/// Text that may stand anywhere in a flow: at most `max` characters on one line, no control or
/// direction characters, none of `" \ < > & { }`.
pub fn plain(text: &str, max: usize) -> String {
    if text.len() <= max && is_plain(text.as_bytes()) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len().min(max * 4));
    let mut count = 0;
    let mut blank = false;
    let mut put = |c: char, out: &mut String| {
        if c == ' ' {
            blank = !out.is_empty();
            return true;
        }
        let needed = 1 + usize::from(blank);
        if count + needed > max {
            return false;
        }
        if std::mem::take(&mut blank) {
            out.push(' ');
        }
        out.push(c);
        count += needed;
        true
    };
    for c in text.chars() {
        let fits = match c {
            '"' => put('\'', &mut out),
            '\\' => put('/', &mut out),
            '<' | '{' => put('(', &mut out),
            '>' | '}' => put(')', &mut out),
            // Spoken, it is this word anyway.
            '&' => " and ".chars().all(|c| put(c, &mut out)),
            c if c.is_whitespace() || c.is_control() => put(' ', &mut out),
            c if is_invisible(c) => true,
            c => put(c, &mut out),
        };
        if !fits {
            break;
        }
    }
    out
}

/// Nothing of this would be changed; most texts are so.
fn is_plain(text: &[u8]) -> bool {
    let mut before = b' ';
    for &b in text {
        let kept = b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'<' | b'>' | b'&' | b'{' | b'}');
        if !kept && (b != b' ' || before == b' ') {
            return false;
        }
        before = b;
    }
    before != b' ' || text.is_empty()
}

/// Direction marks and other characters that change how text around them is shown. Joiners
/// (U+200C, U+200D) stay: names in several scripts are misspelt without them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}'
        | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// The longest name of a worker, in characters.
pub const WORKER_MAX: usize = 64;

/// Whether the text could be a TaskRouter worker's name: it will stand in routing expressions.
pub fn looks_like_worker(text: &str) -> bool {
    let letter = |c: char| c.is_alphanumeric() || "._@+-".contains(c);
    let blanks = !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ");
    blanks && (1..=WORKER_MAX).contains(&text.chars().count()) && text.chars().all(|c| letter(c) || c == ' ')
}

/// What a mask leaves of a value; texts in lists one by one.
pub fn masked(value: &Value, mask: Mask) -> Value {
    if let Value::List(list) = value
        && mask != Mask::Full
    {
        return Value::List(list.iter().map(|v| masked(v, mask)).collect());
    }
    let hidden = || Value::text("***");
    let Some(text) = value.to_text() else { return hidden() };
    match mask {
        Mask::Full => hidden(),
        Mask::LastFour => {
            let count = text.chars().count();
            if count <= 4 {
                return hidden();
            }
            let last: String = text.chars().skip(count - 4).collect();
            Value::text(format!("***{last}"))
        }
        Mask::Email => match text.split_once('@') {
            Some((local, domain)) => {
                let first: String = local.chars().take(1).collect();
                Value::text(format!("{first}***@{domain}"))
            }
            None => hidden(),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_table() {
        let cases = [
            ("Ann Lee", 100, "Ann Lee"),
            ("  Ann \t\r\n Lee  ", 100, "Ann Lee"),
            ("AT&T", 100, "AT and T"),
            ("<script>alert(1)</script>", 100, "(script)alert(1)(/script)"),
            ("{{trigger.call.From}}", 100, "((trigger.call.From))"),
            ("{% raw %}", 100, "(% raw %)"),
            ("a\u{202E}b\u{200B}c\u{FEFF}d", 100, "abcd"),
            ("\u{0}\u{7}x\u{85}y\u{2028}z", 100, "x y z"),
            (r#"He said "C:\x""#, 100, "He said 'C:/x'"),
            ("abcdef", 3, "abc"),
            ("ab cdef", 3, "ab"),
            ("a & b", 3, "a a"),
            ("", 10, ""),
            ("Zoë 李 \u{1F600}", 100, "Zoë 李 \u{1F600}"),
        ];
        for (text, max, expected) in cases {
            assert_eq!(plain(text, max), expected, "{text:?}");
        }
    }

    #[test]
    fn worker_table() {
        for good in ["ann.lee@example.com", "WK0123456789abcdef", "Ann Lee", "José", "a"] {
            assert!(looks_like_worker(good), "{good}");
        }
        for bad in ["", " ann", "ann'", "a\" OR 1==1", "a  b", "x,y", "a\nb", &"a".repeat(65), "a=b", "(ann)"] {
            assert!(!looks_like_worker(bad), "{bad}");
        }
    }

    #[test]
    fn mask_table() {
        let masked = |text: &str, mask| masked(&Value::text(text), mask).to_text().map(|t| t.into_owned());
        assert_eq!(masked("ann@example.com", Mask::Email).as_deref(), Some("a***@example.com"));
        assert_eq!(masked("no address", Mask::Email).as_deref(), Some("***"));
        assert_eq!(masked("+14155550142", Mask::LastFour).as_deref(), Some("***0142"));
        assert_eq!(masked("0142", Mask::LastFour).as_deref(), Some("***"));
        assert_eq!(masked("anything", Mask::Full).as_deref(), Some("***"));
    }

    /// Letters that have broken call flows, mixed with any others.
    fn hostile() -> impl Strategy<Value = String> {
        let nasty = prop::sample::select(vec![
            "\"", "\\", "<", ">", "&", "{{", "{%", "}}", "%}", "\n", "\r", "\0", "\u{202E}", "\u{2066}", "\u{200F}",
            "\u{2028}", "&lt;", "<Say>", "\\u0022", "' OR 1=1", "\u{FEFF}",
        ]);
        prop::collection::vec(prop_oneof![nasty.prop_map(str::to_owned), any::<String>()], 0..12)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn plain_text_is_safe_whatever_it_was(text in hostile(), max in 0_usize..120) {
            let out = plain(&text, max);
            prop_assert!(out.chars().count() <= max);
            let refused = out.contains(['"', '\\', '<', '>', '&', '{', '}']);
            prop_assert!(!refused);
            prop_assert!(!out.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert!(out.chars().all(|c| c == ' ' || !c.is_whitespace()));
            prop_assert_eq!(out.trim(), &out);
            let quoted = serde_json::to_string(&out).unwrap_or_default();
            prop_assert_eq!(quoted, format!("\"{out}\""), "nothing to escape in JSON");
        }
    }
}
