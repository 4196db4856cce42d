//! The forms that a text value must have, each with its Chinese and its English name.
//!
//! `Fault::Format` carries one of these, so a form cannot exist in one language only. A name is a noun phrase: it ends
//! the sentence "must be …" and the sentence "应为：…". The list holds forms only; numbers, lengths and word lists have
//! faults of their own.

macro_rules! formats {
    ($($name:ident: $zh:literal, $en:literal;)*) => {
        /// The form that a text value must have.
        ///
        /// ```
        /// use dream_core::{Fault, Format};
        ///
        /// // A program with fields of its own names their forms in both languages.
        /// let colour = Format::Other { zh: "颜色，例如 #c81e5a", en: "a colour, such as #c81e5a" };
        /// assert_eq!(Fault::Format(colour).as_str(), "FORMAT");
        /// assert_eq!(Format::Day.en(), "a day, such as 2026-01-28");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Format {
            $(#[doc = $en] $name,)*
            /// A form that only the embedding program knows.
            Other {
                /// Its Chinese name.
                zh: &'static str,
                /// Its English name.
                en: &'static str,
            },
        }

        impl Format {
            /// Every form of this crate and of `dream-http`.
            pub const ALL: &'static [Format] = &[$(Format::$name,)*];

            /// The Chinese name.
            pub const fn zh(self) -> &'static str {
                match self { $(Format::$name => $zh,)* Format::Other { zh, .. } => zh }
            }

            /// The English name.
            pub const fn en(self) -> &'static str {
                match self { $(Format::$name => $en,)* Format::Other { en, .. } => en }
            }
        }
    };
}

formats! {
    PositiveInteger: "正整数", "a positive integer";
    WordId: "由字母、数字、_ 和 - 组成的编号", "an id of letters, digits and the marks _ and -";
    DottedId: "由字母、数字、_、- 和 . 组成的编号", "an id of letters, digits and the marks _ - and .";
    IdWithoutSpaces: "不含空格的编号", "an id without spaces";
    NotBatch: "除 batch 以外的编号", "another id than batch";
    CharacterId: "角色的编号或 UUID", "a character's number or UUID";
    PhotoId: "照片的编号或 UUID", "a photo's number or UUID";
    Time: "RFC 3339 时间，例如 2026-01-28T10:00:00.000Z", "a time in RFC 3339, such as 2026-01-28T10:00:00.000Z";
    FutureTime: "将来的时间", "a time in the future";
    Day: "日期，例如 2026-01-28", "a day, such as 2026-01-28";
    DayOrTime: "日期或 RFC 3339 时间", "a day or a time in RFC 3339";
    PastDay: "已经结束的日期", "a day that is over";
    Within366Days: "结束之前 366 天以内", "at most 366 days before the end";
    Within744Hours: "结束之前 744 小时以内", "at most 744 hours before the end";
    TimeZone: "时区，例如 Asia/Shanghai", "a time zone, such as Asia/Shanghai";
    Duration: "时长，例如 7d、12h 或 30m", "a span of time, such as 7d, 12h or 30m";
    FirstRows: "前 10000 行之内，更靠后的请使用游标", "within the first 10000 rows; use the cursor beyond";
    WithoutNul: "不含 NUL 字符的文本", "text without NUL characters";
    WithoutControls: "不含控制字符的文本", "text without control characters";
    VisibleText: "不含隐藏字符的可见文本", "visible text without hidden characters";
    Utf8: "有效的 UTF-8 文本", "valid UTF-8";
    DocumentedWord: "文档中列出的取值", "one of the documented words";
    PrintableKey: "1 到 255 个可打印的 ASCII 字符", "1 to 255 printable ASCII characters";
    PrintableWithoutBlanks: "不含空格的可打印 ASCII 字符", "printable ASCII characters without blanks";
    HeaderValue: "由可打印的 ASCII 字符组成的请求头", "a header value of printable ASCII characters";
    HeaderKey: "可以放入请求头的密钥", "a key that fits into a header";
    LoginCode: "由可打印的 ASCII 字符组成的登录凭证", "a code of printable ASCII characters";
    LoginData: "本次登录的数据", "data of this login";
    Base64: "base64 编码", "base64";
    Base64Data: "base64 编码的数据，可带 data: 前缀", "base64 data, with or without a data: prefix";
    DataUrl: "base64 编码的 data URL", "a data URL in base64";
    PushAesKey: "43 个 base64 字符", "43 characters of base64";
    Url: "网址", "a URL";
    HttpsUrl: "https 网址", "an https URL";
    HttpUrl: "http 或 https 网址", "an http or https URL";
    HttpUrlWithoutQuery: "不带查询参数的 http 或 https 网址", "an http or https URL without query";
    PhotoHostUrl: "允许存放照片的域名下的 https 网址", "an https URL of a host that photos may lie at";
    UploadedPictureUrl: "已上传图片的网址", "the URL of an uploaded picture";
    Multipart: "multipart/form-data 表单", "multipart/form-data";
    BlobPath: "由字母、数字和 . _ - 组成的路径", "a path of letters, digits and . _ -";
    PostgresUrl: "postgres:// 网址", "a postgres:// URL";
    OriginalNotDream: "原服务的数据库（这是 Dream 的数据库）", "a database of the original service, and this one is Dream's";
    OriginalWithUsers: "原服务的数据库（这里没有 users 表）", "a database of the original service, and this one has no table users";
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn every_format_has_a_chinese_and_an_english_name_of_its_own() {
        let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        for (at, format) in Format::ALL.iter().enumerate() {
            assert!(is_chinese(format.zh()), "{format:?}: {}", format.zh());
            assert!(format.en().is_ascii() && !format.en().is_empty(), "{format:?}: {}", format.en());
            assert!(!format.zh().contains([',', ';', '(', '?', '!']), "{format:?}: {}", format.zh());
            for other in &Format::ALL[at + 1..] {
                assert_ne!(format.zh(), other.zh());
                assert_ne!(format.en(), other.en());
            }
        }
    }
}
