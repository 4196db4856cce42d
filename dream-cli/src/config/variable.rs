//! What one variable is: its name, its meaning, and how its text is read.

/// How a value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// As it is.
    Openly,
    /// Not at all: it is a secret.
    Masked,
    /// Without the password in it: it is a URL.
    WithoutPassword,
}

impl Shown {
    /// The value as it may be printed.
    pub(crate) fn show(self, text: &str) -> String {
        match self {
            Shown::Openly => text.to_owned(),
            Shown::Masked => "********".to_owned(),
            Shown::WithoutPassword => without_password(text),
        }
    }
}

/// `scheme://user:password@host?password=…` without the passwords.
pub(crate) fn without_password(url: &str) -> String {
    let (url, query) = url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
    let mut shown = without_login(url);
    for (index, pair) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        shown.push_str(if pair.starts_with("password=") { "password=********" } else { pair });
    }
    shown
}

fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    // A password may hold an `@` that nobody encoded, so the last one counts.
    let Some(at) = rest[..authority_end].rfind('@') else { return url.to_owned() };
    let Some((user, _)) = rest[..at].split_once(':') else { return url.to_owned() };
    format!("{scheme}://{user}:********@{}", &rest[at + 1..])
}

/// Everything about a variable but its type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    /// Its name.
    pub(crate) name: &'static str,
    /// Other names that are read where this one is not set.
    pub(crate) aliases: &'static [&'static str],
    /// What holds where it is not set, as it would be written.
    pub(crate) default: Option<&'static str>,
    /// What the documentation says in place of the default.
    pub(crate) otherwise: Option<&'static str>,
    /// How its value is shown.
    pub(crate) shown: Shown,
    /// What it is for, in one sentence.
    pub(crate) meaning: &'static str,
}

impl Spec {
    /// The names that it is read under, the best first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether it must not be printed, logged, or empty.
    pub(crate) fn is_secret(&self) -> bool {
        self.shown != Shown::Openly
    }

    /// The default as documentation tells it.
    pub(crate) fn told_default(&self) -> &'static str {
        self.otherwise.or(self.default).unwrap_or("–")
    }
}

/// Reads a value, or says what it must be.
pub(crate) type Parse<T> = fn(&str) -> Result<T, String>;

/// A variable whose value is a `T`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variable<T: 'static> {
    pub(crate) spec: Spec,
    pub(crate) parse: Parse<T>,
}

impl<T> Variable<T> {
    pub(crate) const fn new(parse: Parse<T>, meaning: &'static str) -> Self {
        let spec =
            Spec { name: "", aliases: &[], default: None, otherwise: None, shown: Shown::Openly, meaning };
        Self { spec, parse }
    }

    pub(crate) const fn named(mut self, name: &'static str) -> Self {
        self.spec.name = name;
        self
    }

    pub(crate) const fn or(mut self, default: &'static str) -> Self {
        self.spec.default = Some(default);
        self
    }

    pub(crate) const fn otherwise(mut self, text: &'static str) -> Self {
        self.spec.otherwise = Some(text);
        self
    }

    pub(crate) const fn also(mut self, aliases: &'static [&'static str]) -> Self {
        self.spec.aliases = aliases;
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.spec.shown = Shown::Masked;
        self
    }

    pub(crate) const fn holds_password(mut self) -> Self {
        self.spec.shown = Shown::WithoutPassword;
        self
    }
}

/// Variables that belong together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    /// Their heading.
    pub(crate) title: &'static str,
    /// The variables, in the order of the documentation.
    pub(crate) variables: &'static [Spec],
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn only_the_password_of_a_url_is_hidden() {
        let shown = |url| without_password(url);
        assert_eq!(shown("postgres://me:pa@ss@db:5432/x?a=b"), "postgres://me:********@db:5432/x?a=b");
        assert_eq!(shown("redis://:pw@cache:6379/0"), "redis://:********@cache:6379/0");
        assert_eq!(shown("sqlite://dream-data/dream.db"), "sqlite://dream-data/dream.db");
        assert_eq!(shown("postgres://db/x@y"), "postgres://db/x@y");
        assert_eq!(shown("postgres:///x?user=a&password=b"), "postgres:///x?user=a&password=********");
    }
}
