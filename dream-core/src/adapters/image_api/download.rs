//! Fetching finished pictures from where the provider says they are.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};

use super::SERVICE;
use crate::adapters::outbound;
use crate::ports::{Failure, FailureKind};

/// How long one picture may take: a 4K one has some 20 MB.
const TIMEOUT: Duration = Duration::from_mins(1);

const MAX_REDIRECTS: usize = 3;

/// What a picture without a content type is taken for.
const UNKNOWN_TYPE: &str = "application/octet-stream";

pub(super) struct Downloads {
    client: Client,
    /// Besides any server over https, the API's own may serve pictures, by http too.
    home: Option<Url>,
}

impl Downloads {
    pub(super) fn new(base_url: &str) -> Result<Self, Failure> {
        let home = Url::parse(base_url).ok();
        let at_home = home.clone();
        let redirects = Policy::custom(move |attempt| {
            if attempt.previous().len() > MAX_REDIRECTS {
                attempt.error("too many redirects")
            } else if is_allowed(attempt.url(), at_home.as_ref()) {
                attempt.follow()
            } else {
                attempt.error("a redirect to where no pictures are fetched from")
            }
        });
        Ok(Self { client: outbound::client(SERVICE, TIMEOUT, redirects)?, home })
    }

    pub(super) async fn fetch(&self, url: &str, max_bytes: u64) -> Result<(Bytes, String), Failure> {
        let refuse = |why: &str| Failure::new(SERVICE, FailureKind::Refused, why);
        let url = Url::parse(url).map_err(|_| refuse("the picture's URL is none"))?;
        if !is_allowed(&url, self.home.as_ref()) {
            return Err(refuse("pictures are fetched only over https").with_code("URL_NOT_ALLOWED"));
        }
        let response = self.client.get(url).send().await.map_err(|error| outbound::broken(SERVICE, error))?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN) => {
                let why = format!("the picture is not there: HTTP {}", status.as_u16());
                return Err(refuse(&why).with_code("PICTURE_GONE"));
            }
            status => {
                let why = format!("the picture was not served: HTTP {}", status.as_u16());
                return Err(Failure::new(SERVICE, FailureKind::Unknown, why));
            }
        }
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or(UNKNOWN_TYPE).to_owned();
        let body = outbound::read(SERVICE, response, max_bytes).await?;
        Ok((body.into(), content_type))
    }
}

/// Whether pictures may be fetched from there. No key travels along, and what comes is decoded as a picture.
fn is_allowed(url: &Url, home: Option<&Url>) -> bool {
    let is_home = home.is_some_and(|home| home.origin() == url.origin());
    let has_name =
        || matches!(url.domain(), Some(name) if name != "localhost" && !name.ends_with(".localhost"));
    is_home || (url.scheme() == "https" && has_name())
}

#[cfg(test)]
mod tests {
    use super::{Url, is_allowed};

    #[test]
    fn pictures_come_over_https_from_named_servers_or_from_the_api_itself() {
        let home = Url::parse("http://127.0.0.1:3001/api").unwrap();
        let allowed = |url: &str| is_allowed(&Url::parse(url).unwrap(), Some(&home));
        assert!(allowed("https://assets.example.test/a.png"));
        assert!(allowed("http://127.0.0.1:3001/files/a.png"));
        for url in [
            "http://assets.example.test/a.png",
            "http://127.0.0.1:3002/a.png",
            "https://127.0.0.1/a.png",
            "https://[::1]/a.png",
            "https://169.254.169.254/latest/meta-data",
            "https://localhost/a.png",
            "file:///etc/passwd",
            "data:image/png;base64,AAAA",
        ] {
            assert!(!allowed(url), "{url}");
        }
    }
}
