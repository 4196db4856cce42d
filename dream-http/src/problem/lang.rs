//! In which language the reader wants the sentences.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// A language that every sentence of ours exists in.
///
/// ```
/// use dream_http::problem::Lang;
/// use http::HeaderMap;
/// use http::header::ACCEPT_LANGUAGE;
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(Lang::preferred(&headers), Lang::Zh);
/// headers.insert(ACCEPT_LANGUAGE, "fr, en;q=0.8, zh;q=0.2".parse().unwrap());
/// assert_eq!(Lang::preferred(&headers).tag(), "en");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lang {
    /// Simplified Chinese, unless something else is asked for.
    #[default]
    Zh,
    /// English.
    En,
}

impl Lang {
    /// The tag for `Content-Language`.
    ///
    /// ```
    /// use dream_http::problem::Lang;
    ///
    /// assert_eq!((Lang::Zh.tag(), Lang::En.tag()), ("zh-CN", "en"));
    /// ```
    pub const fn tag(self) -> &'static str {
        match self {
            Lang::Zh => "zh-CN",
            Lang::En => "en",
        }
    }

    /// The language that `Accept-Language` prefers; of equals the one named first.
    ///
    /// ```
    /// use dream_http::problem::Lang;
    /// use http::HeaderMap;
    /// use http::header::ACCEPT_LANGUAGE;
    ///
    /// let mut headers = HeaderMap::new();
    /// headers.insert(ACCEPT_LANGUAGE, "fr".parse().unwrap());
    /// assert_eq!(Lang::preferred(&headers), Lang::Zh, "no sentence of ours is French");
    /// headers.insert(ACCEPT_LANGUAGE, "en-GB, zh;q=0.9".parse().unwrap());
    /// assert_eq!(Lang::preferred(&headers), Lang::En);
    /// ```
    pub fn preferred(headers: &HeaderMap) -> Self {
        let mut best = (Self::default(), 0.0_f32);
        for value in headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok()) {
            for (lang, weight) in value.split(',').filter_map(one_choice) {
                if weight > best.1 {
                    best = (lang, weight);
                }
            }
        }
        best.0
    }
}

fn one_choice(choice: &str) -> Option<(Lang, f32)> {
    let (tag, rest) = choice.split_once(';').unwrap_or((choice, ""));
    let lang = match tag.trim().split('-').next()?.to_ascii_lowercase().as_str() {
        "zh" | "*" => Lang::Zh,
        "en" => Lang::En,
        _ => return None,
    };
    let weight = match rest.trim().strip_prefix("q=") {
        Some(weight) => weight.trim().parse().unwrap_or(0.0),
        None => 1.0,
    };
    Some((lang, weight))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn preferred(text: &'static str) -> Lang {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(text));
        Lang::preferred(&headers)
    }

    #[test]
    fn the_heaviest_known_language_wins() {
        assert_eq!(preferred("en"), Lang::En);
        assert_eq!(preferred("en-GB,en;q=0.9,zh;q=0.5"), Lang::En);
        assert_eq!(preferred("zh-CN,zh;q=0.9,en;q=0.8"), Lang::Zh);
        assert_eq!(preferred("fr, en;q=0.2, zh;q=0.1"), Lang::En);
        assert_eq!(preferred("en;q=0"), Lang::Zh);
    }

    #[test]
    fn nonsense_and_silence_mean_chinese() {
        assert_eq!(Lang::preferred(&HeaderMap::new()), Lang::Zh);
        assert_eq!(preferred("fr"), Lang::Zh);
        assert_eq!(preferred(";;;q=,*;q=x"), Lang::Zh);
        assert_eq!(preferred("*"), Lang::Zh);
    }
}
