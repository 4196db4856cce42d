//! What can be asked for, in types that hold only what is allowed.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secrecy::SecretString;
use serde::Serialize;

use crate::error::{Fault, Format};
use crate::kernel::{CharacterId, TemplateId};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every word, as clients write it.
            pub const NAMES: &'static [&'static str] = &[$($text,)*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            /// What the word means.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some($name::$variant),)* _ => None }
            }
        }

        impl FromStr for $name {
            type Err = Fault;
            fn from_str(text: &str) -> Result<Self, Fault> {
                Self::parse(text).ok_or(Fault::OneOf(Self::NAMES))
            }
        }
    };
}

words! {
    /// How much care is taken.
    ///
    /// ```
    /// use dream_core::jobs::Mode;
    ///
    /// assert_eq!("draft".parse(), Ok(Mode::Draft));
    /// assert_eq!(Mode::parse("best"), None);
    /// assert_eq!(Mode::NAMES, ["draft", "final"]);
    /// ```
    Mode {
        /// Quick, of lower quality.
        Draft = "draft",
        /// Slow, of high quality.
        Final = "final",
    }
}
words! {
    /// How large the pictures are.
    ///
    /// ```
    /// # dream_testkit::world::example(async |world| {
    /// use dream_core::Code;
    /// use dream_core::jobs::Resolution;
    /// # use dream_testkit::world::polished;
    ///
    /// # let alice = world.alice().await;
    /// let mut request = polished("a cat", 1);
    /// request.resolution = Resolution::parse("4K");
    /// assert_eq!(alice.generate(&request).await.unwrap_err().code(), Code::VipRequired);
    /// request.resolution = Some(Resolution::TwoK);
    /// alice.generate(&request).await?;
    /// # Ok(())
    /// # });
    /// ```
    Resolution {
        /// 1024 pixels.
        OneK = "1K",
        /// 2048 pixels.
        TwoK = "2K",
        /// 4096 pixels; for VIP.
        FourK = "4K",
    }
}
words! {
    /// The shape of the pictures.
    ///
    /// ```
    /// use dream_core::Fault;
    /// use dream_core::jobs::AspectRatio;
    ///
    /// assert_eq!("9:16".parse(), Ok(AspectRatio::R9x16));
    /// assert_eq!(AspectRatio::R21x9.as_str(), "21:9");
    /// assert_eq!("7:1".parse::<AspectRatio>(), Err(Fault::OneOf(AspectRatio::NAMES)));
    /// ```
    AspectRatio {
        /// As the model likes.
        Auto = "Auto",
        /// Square.
        R1x1 = "1:1",
        /// Phone, upright.
        R9x16 = "9:16",
        /// Screen.
        R16x9 = "16:9",
        /// Upright.
        R3x4 = "3:4",
        /// Wide.
        R4x3 = "4:3",
        /// Photo, wide.
        R3x2 = "3:2",
        /// Photo, upright.
        R2x3 = "2:3",
        /// Nearly square, wide.
        R5x4 = "5:4",
        /// Nearly square, upright.
        R4x5 = "4:5",
        /// Cinema.
        R21x9 = "21:9",
    }
}

/// Text of 1 to `MAX` characters without NUL.
///
/// ```
/// use dream_core::Fault;
/// use dream_core::jobs::{Prompt, Text};
///
/// assert_eq!("一只猫".parse::<Prompt>().unwrap().as_str(), "一只猫");
/// assert_eq!(" ".parse::<Prompt>(), Err(Fault::Length { min: 1, max: 4000 }));
/// assert_eq!("too long".parse::<Text<3>>(), Err(Fault::Length { min: 1, max: 3 }), "in characters");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.contains('\0') {
            Err(Fault::Format(Format::WithoutNul))
        } else if text.trim().is_empty() || text.chars().count() > MAX {
            Err(Fault::Length { min: 1, max: MAX })
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// What is to be seen: 1 to 4000 characters.
///
/// ```
/// use dream_core::jobs::Prompt;
///
/// assert!("字".repeat(4000).parse::<Prompt>().is_ok());
/// assert!("字".repeat(4001).parse::<Prompt>().is_err());
/// ```
pub type Prompt = Text<4000>;
/// What is not to be seen: up to 2000 characters.
pub type NegativePrompt = Text<2000>;
/// A model's name: up to 100 characters.
pub type ModelName = Text<100>;

/// How many pictures: 1 to 10.
///
/// ```
/// use dream_core::Fault;
/// use dream_core::jobs::SampleCount;
///
/// assert_eq!(SampleCount::new(4).unwrap().get(), 4);
/// assert_eq!(SampleCount::new(11), Err(Fault::Range { min: 1, max: 10 }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleCount(i64);

impl SampleCount {
    /// Most pictures at once.
    pub const MAX: i64 = 10;
    /// One picture.
    pub const ONE: Self = Self(1);

    /// This many pictures.
    ///
    /// # Errors
    /// [`Fault::Range`] outside of 1 to 10.
    pub fn new(count: i64) -> Result<Self, Fault> {
        if (1..=Self::MAX).contains(&count) {
            Ok(Self(count))
        } else {
            Err(Fault::Range { min: 1, max: Self::MAX })
        }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// An `https` or `http` address of at most 2048 bytes, to be fetched by the image API.
///
/// ```
/// use dream_core::jobs::PictureUrl;
///
/// assert!("https://cdn.example/cat.png".parse::<PictureUrl>().is_ok());
/// for bad in ["ftp://cdn.example/cat.png", "file:///etc/passwd", "https:///cat.png", "/cat.png"] {
///     assert!(bad.parse::<PictureUrl>().is_err(), "{bad}");
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureUrl(String);

impl PictureUrl {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PictureUrl {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        const MAX: usize = 2048;
        if text.is_empty() || text.len() > MAX {
            return Err(Fault::Length { min: 1, max: MAX });
        }
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let named = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        if named && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::Format(Format::HttpUrl))
        }
    }
}

/// A picture that came along in the request. What it is is found by its content.
///
/// ```
/// use dream_core::jobs::InlinePicture;
///
/// // As a canvas gives it, or the base64 alone.
/// let one: InlinePicture = "data:image/png;base64,iVBORw0KGgo=".parse().unwrap();
/// let other: InlinePicture = "iVBORw0KGgo=".parse().unwrap();
/// assert_eq!((one.bytes(), one.bytes().len()), (other.bytes(), 8));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct InlinePicture(Bytes);

impl InlinePicture {
    /// Largest picture, in bytes.
    pub const MAX_BYTES: usize = 10 * 1024 * 1024;

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for InlinePicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InlinePicture({} bytes)", self.0.len())
    }
}

/// Reads a data URL (RFC 2397) in base64, or bare base64.
impl FromStr for InlinePicture {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        let base64 = match text.strip_prefix("data:") {
            Some(rest) => rest.split_once(";base64,").ok_or(Fault::Format(Format::DataUrl))?.1,
            None => text,
        };
        if base64.len() > Self::MAX_BYTES.div_ceil(3) * 4 {
            return Err(Fault::Length { min: 1, max: Self::MAX_BYTES });
        }
        let bytes = STANDARD.decode(base64.trim()).map_err(|_| Fault::Format(Format::Base64))?;
        if bytes.is_empty() { Err(Fault::Required) } else { Ok(Self(bytes.into())) }
    }
}

/// A character, by number or by UUID.
///
/// ```
/// use dream_core::jobs::CharacterRef;
///
/// // Clients may use either of a character's two ids.
/// assert!(matches!("7".parse().unwrap(), CharacterRef::Id(id) if id.get() == 7));
/// assert!(matches!("01931f3e-7b0c-7a43-9e0e-1b1d5a0c8f5e".parse().unwrap(), CharacterRef::Uuid(_)));
/// assert!("seven".parse::<CharacterRef>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CharacterRef {
    /// By number.
    Id(CharacterId),
    /// By UUID.
    Uuid(uuid::Uuid),
}

impl FromStr for CharacterRef {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        uuid::Uuid::try_parse(text).map(Self::Uuid).map_err(|_| Fault::Format(Format::CharacterId))
    }
}

impl fmt::Display for CharacterRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CharacterRef::Id(id) => id.fmt(f),
            CharacterRef::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

/// Options that are passed on to the model: a JSON object of at most 16 KiB. They never replace a field of ours.
///
/// ```
/// use dream_core::Fault;
/// use dream_core::jobs::{GenerateRequest, ModelParams};
///
/// let mut request = GenerateRequest::new("a cat".parse().unwrap());
/// let options = [("seed".to_owned(), 42.into()), ("guidance".to_owned(), 7.5.into())];
/// request.params = ModelParams::new(options.into_iter().collect()).unwrap();
///
/// let much = [("note".to_owned(), "x".repeat(20_000).into())].into_iter().collect();
/// assert_eq!(ModelParams::new(much), Err(Fault::Length { min: 0, max: 16 * 1024 }), "in bytes");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelParams(serde_json::Map<String, serde_json::Value>);

impl ModelParams {
    /// Most bytes, as compact JSON.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// The options, if they are small enough.
    ///
    /// # Errors
    /// [`Fault::Length`] otherwise.
    pub fn new(map: serde_json::Map<String, serde_json::Value>) -> Result<Self, Fault> {
        let size = serde_json::to_vec(&map).map_or(usize::MAX, |bytes| bytes.len());
        if size > Self::MAX_BYTES {
            return Err(Fault::Length { min: 0, max: Self::MAX_BYTES });
        }
        Ok(Self(map))
    }

    pub(super) fn map(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.0
    }
}

/// What somebody wants generated. What is left out comes from the template, else from the defaults.
///
/// ```
/// use dream_core::jobs::{AspectRatio, GenerateRequest, Mode, Resolution, SampleCount};
///
/// let request = GenerateRequest {
///     mode: Some(Mode::Final),
///     resolution: Some(Resolution::TwoK),
///     aspect_ratio: Some(AspectRatio::R16x9),
///     sample_count: Some(SampleCount::new(2).unwrap()),
///     negative_prompt: Some("text, watermark".parse().unwrap()),
///     ..GenerateRequest::new("sunrise above a sea of clouds".parse().unwrap())
/// };
/// assert_eq!(request.template, None, "what is left out comes from the template, or from the defaults");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateRequest {
    /// What is to be seen.
    pub prompt: Prompt,
    /// What is not to be seen.
    pub negative_prompt: Option<NegativePrompt>,
    /// How much care is taken; `final` unless said otherwise.
    pub mode: Option<Mode>,
    /// How large; up to the model unless said otherwise.
    pub resolution: Option<Resolution>,
    /// Which shape; up to the model unless said otherwise.
    pub aspect_ratio: Option<AspectRatio>,
    /// How many pictures; one unless said otherwise.
    pub sample_count: Option<SampleCount>,
    /// A reference picture that the image API fetches.
    pub input_image_url: Option<PictureUrl>,
    /// A reference picture in the request. It wins over the URL.
    pub input_image: Option<InlinePicture>,
    /// A character whose face is to be kept. It wins over both.
    pub character: Option<CharacterRef>,
    /// A template that it is made from.
    pub template: Option<TemplateId>,
    /// A model.
    pub model: Option<ModelName>,
    /// Options for the model.
    pub params: ModelParams,
}

impl GenerateRequest {
    /// A request for one picture of this, with defaults for the rest.
    pub fn new(prompt: Prompt) -> Self {
        Self {
            prompt,
            negative_prompt: None,
            mode: None,
            resolution: None,
            aspect_ratio: None,
            sample_count: None,
            input_image_url: None,
            input_image: None,
            character: None,
            template: None,
            model: None,
            params: ModelParams::default(),
        }
    }

    /// A hash of everything that is asked for. Equal requests have equal ones.
    pub(super) fn fingerprint(&self) -> String {
        #[derive(Serialize)]
        struct Canonical<'a> {
            prompt: &'a str,
            negative: Option<&'a str>,
            mode: Option<&'a str>,
            resolution: Option<&'a str>,
            aspect: Option<&'a str>,
            samples: Option<i64>,
            url: Option<&'a str>,
            image: Option<String>,
            character: Option<String>,
            template: Option<&'a str>,
            model: Option<&'a str>,
            params: &'a serde_json::Map<String, serde_json::Value>,
        }
        let sha256 = |bytes: &[u8]| hex::encode(digest::digest(&digest::SHA256, bytes).as_ref());
        sha256(
            crate::store::json_text(&Canonical {
                prompt: self.prompt.as_str(),
                negative: self.negative_prompt.as_ref().map(Text::as_str),
                mode: self.mode.map(Mode::as_str),
                resolution: self.resolution.map(Resolution::as_str),
                aspect: self.aspect_ratio.map(AspectRatio::as_str),
                samples: self.sample_count.map(SampleCount::get),
                url: self.input_image_url.as_ref().map(PictureUrl::as_str),
                image: self.input_image.as_ref().map(|image| sha256(image.bytes())),
                character: self.character.as_ref().map(ToString::to_string),
                template: self.template.as_ref().map(TemplateId::as_str),
                model: self.model.as_ref().map(Text::as_str),
                params: self.params.map(),
            })
            .as_bytes(),
        )
    }
}

/// The caller's own credential for the image API, passed on in place of the operator's key.
///
/// ```
/// # dream_testkit::world::example_on(|world| world.settings(|settings| settings.forward_upstream_auth = true), async |world| {
/// use dream_core::jobs::UpstreamCredential;
/// # use dream_testkit::world::polished;
///
/// # let me = world.alice().await.session().await;
/// // The caller's own account at the image API is billed, not the operator's.
/// let credential = UpstreamCredential::new("Bearer sk-of-the-tenant".to_owned()).unwrap();
/// me.generate(&polished("a cat", 1), None, Some(&credential)).await?;
/// world.settle().await;
/// assert!(world.image_api().authorizations().contains("Bearer sk-of-the-tenant"));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct UpstreamCredential(pub(crate) SecretString);

impl UpstreamCredential {
    /// The value of an `Authorization` header, 1 to 2048 printable ASCII characters.
    ///
    /// # Errors
    /// [`Fault`] if it cannot be a header's value.
    pub fn new(value: String) -> Result<Self, Fault> {
        const MAX: usize = 2048;
        if value.is_empty() || value.len() > MAX {
            Err(Fault::Length { min: 1, max: MAX })
        } else if value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            Ok(Self(SecretString::from(value)))
        } else {
            Err(Fault::Format(Format::HeaderValue))
        }
    }
}
