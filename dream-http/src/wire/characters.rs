//! Characters and their photos.
//!
//! ```
//! # dream_testkit::world::example_on(|world| world.taking_payments(), async |world| {
//! # world.dream().plant_seeds().await?;
//! # let settings = dream_http::Settings { listen: ([127, 0, 0, 1], 0).into(), ..Default::default() };
//! # let server = dream_http::Server::bind(dream_http::App::builder(world.dream().clone(), settings).build()?)?;
//! # let base = format!("http://{}", server.local_addr()?);
//! # let serving = tokio::spawn(server.serve(std::future::pending()));
//! # let alice = world.alice().await;
//! # let (http, token) = (reqwest::Client::new(), alice.tokens().access);
//! # let post = async |path: &str, body: serde_json::Value| -> Result<serde_json::Value, reqwest::Error> {
//! #     http.post(format!("{base}{path}")).bearer_auth(&token).json(&body).send().await?.json().await
//! # };
//! use serde_json::json;
//!
//! let made = post("/v1/characters", json!({ "name": "小红" })).await?;
//! assert_eq!(made["character"]["name"], "小红");
//! # serving.abort();
//! # Ok(())
//! # });
//! ```

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use dream_core::characters::{
    self, CharacterDescription, CharacterName, CharacterUpdate, MAX_PHOTOS, PhotoLink, PhotoUpload, PhotoUrl,
};
use dream_core::media::PictureKind;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use super::message::Message;
use super::time::At;
use crate::input::{Blank, Faults, OneOf, Parsed, Shape, Text, Whole};
use crate::openapi::Schemas;
use crate::problem::Lang;

/// The largest body with a photo: it and its small copy in base64.
pub const PHOTO_BODY: u64 = 2 * PhotoUpload::MAX_TEXT as u64;
/// The largest size in bytes that a photo elsewhere may be said to have.
const LARGEST: i64 = 1024 * 1024 * 1024;

/// A character, with its photos.
///
/// ```
/// # dream_testkit::world::example(async |world| {
/// use dream_core::characters::NewCharacter;
/// use dream_http::wire::characters::Character;
///
/// # let me = world.alice().await.session().await;
/// let new = NewCharacter { name: "小红".parse().unwrap(), description: None };
/// let json = serde_json::to_value(Character::from(me.create_character(&new).await?))?;
/// assert_eq!((&json["name"], &json["photos"]), (&"小红".into(), &serde_json::json!([])));
/// # Ok(())
/// # });
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Character {
    id: i64,
    #[schema(example = "0198c0ff-ee00-7000-8000-000000000000")]
    uuid: String,
    user_id: i64,
    name: String,
    description: Option<String>,
    /// Oldest first. The first one is the face that is kept.
    photos: Vec<Photo>,
    #[schema(inline)]
    created_at: At,
    #[schema(inline)]
    updated_at: At,
}

impl From<characters::Character> for Character {
    fn from(character: characters::Character) -> Self {
        Self {
            id: character.id.get(),
            uuid: character.uuid.to_string(),
            user_id: character.user.get(),
            name: character.name,
            description: character.description,
            photos: character.photos.into_iter().map(Photo::from).collect(),
            created_at: character.created_at.into(),
            updated_at: character.updated_at.into(),
        }
    }
}

/// A photo of a character.
///
/// ```
/// use dream_http::wire::characters::Photo;
///
/// # let photo = dream_core::characters::Photo {
/// #     id: "3".parse().unwrap(),
/// #     uuid: uuid::Uuid::from_u128(3),
/// #     character: "7".parse().unwrap(),
/// #     thumbnail_url: "https://photos.example/small.jpg".to_owned(),
/// #     original_url: "https://photos.example/face.jpg".to_owned(),
/// #     mime_type: "image/jpeg".to_owned(),
/// #     thumbnail_size: 0,
/// #     original_size: 48_213,
/// #     created_at: dream_core::kernel::Timestamp::from_secs(1_769_600_000),
/// # };
/// let json = serde_json::to_value(Photo::from(photo)).unwrap();
/// // A photo that lies elsewhere, and of whose small copy no size was told.
/// assert_eq!((&json["characterId"], &json["thumbnailSize"]), (&7.into(), &0.into()));
/// assert_eq!(json["originalUrl"], "https://photos.example/face.jpg");
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Photo {
    id: i64,
    #[schema(example = "0198c0ff-ee00-7000-8000-000000000000")]
    uuid: String,
    character_id: i64,
    thumbnail_url: String,
    original_url: String,
    #[schema(example = "image/jpeg")]
    mime_type: String,
    /// In bytes; 0 where it is not known.
    thumbnail_size: i64,
    /// In bytes; 0 where it is not known.
    original_size: i64,
    #[schema(inline)]
    created_at: At,
}

impl From<characters::Photo> for Photo {
    fn from(photo: characters::Photo) -> Self {
        Self {
            id: photo.id.get(),
            uuid: photo.uuid.to_string(),
            character_id: photo.character.get(),
            thumbnail_url: photo.thumbnail_url,
            original_url: photo.original_url,
            mime_type: photo.mime_type,
            thumbnail_size: photo.thumbnail_size,
            original_size: photo.original_size,
            created_at: photo.created_at.into(),
        }
    }
}

/// One's characters.
///
/// ```
/// use dream_http::wire::characters::Characters;
///
/// let none = serde_json::to_value(Characters::from(vec![])).unwrap();
/// assert_eq!(none, serde_json::json!({ "characters": [], "limits": { "maxPhotosPerCharacter": 10 } }));
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct Characters {
    characters: Vec<Character>,
    limits: CharacterLimits,
}

/// How many there may be.
///
/// ```
/// use dream_core::characters::MAX_PHOTOS;
/// use dream_http::wire::characters::Characters;
///
/// // It comes with the list, so that no client has to know the number.
/// let json = serde_json::to_value(Characters::from(vec![])).unwrap();
/// assert_eq!(json["limits"]["maxPhotosPerCharacter"], MAX_PHOTOS);
/// ```
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CharacterLimits {
    #[schema(example = 10)]
    max_photos_per_character: i64,
}

impl From<Vec<characters::Character>> for Characters {
    fn from(characters: Vec<characters::Character>) -> Self {
        Self {
            characters: characters.into_iter().map(Character::from).collect(),
            limits: CharacterLimits { max_photos_per_character: MAX_PHOTOS },
        }
    }
}

/// One character.
///
/// ```
/// use dream_http::wire::characters::CharacterAnswer;
///
/// # let now = dream_core::kernel::Timestamp::from_secs(1_769_600_000);
/// # let character = dream_core::characters::Character {
/// #     id: "7".parse().unwrap(),
/// #     uuid: uuid::Uuid::from_u128(7),
/// #     user: "1".parse().unwrap(),
/// #     name: "小红".to_owned(),
/// #     description: None,
/// #     photos: vec![],
/// #     created_at: now,
/// #     updated_at: now,
/// # };
/// let json = serde_json::to_value(CharacterAnswer::from(character)).unwrap();
/// assert_eq!(json["character"]["name"], "小红");
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct CharacterAnswer {
    character: Character,
}

impl From<characters::Character> for CharacterAnswer {
    fn from(character: characters::Character) -> Self {
        Self { character: character.into() }
    }
}

/// A character that was made or changed.
///
/// ```
/// use dream_http::wire::characters::CharacterDone;
///
/// # let now = dream_core::kernel::Timestamp::from_secs(1_769_600_000);
/// # let character = dream_core::characters::Character {
/// #     id: "7".parse().unwrap(),
/// #     uuid: uuid::Uuid::from_u128(7),
/// #     user: "1".parse().unwrap(),
/// #     name: "小红".to_owned(),
/// #     description: None,
/// #     photos: vec![],
/// #     created_at: now,
/// #     updated_at: now,
/// # };
/// let json = serde_json::to_value(CharacterDone::from(character)).unwrap();
/// assert_eq!((&json["success"], &json["character"]["id"]), (&true.into(), &7.into()));
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct CharacterDone {
    /// Always true.
    success: bool,
    character: Character,
}

impl From<characters::Character> for CharacterDone {
    fn from(character: characters::Character) -> Self {
        Self { success: true, character: character.into() }
    }
}

/// One photo.
///
/// ```
/// use dream_http::wire::characters::PhotoAnswer;
///
/// # let photo = dream_core::characters::Photo {
/// #     id: "3".parse().unwrap(),
/// #     uuid: uuid::Uuid::from_u128(3),
/// #     character: "7".parse().unwrap(),
/// #     thumbnail_url: "https://photos.example/small.jpg".to_owned(),
/// #     original_url: "https://photos.example/face.jpg".to_owned(),
/// #     mime_type: "image/jpeg".to_owned(),
/// #     thumbnail_size: 0,
/// #     original_size: 48_213,
/// #     created_at: dream_core::kernel::Timestamp::from_secs(1_769_600_000),
/// # };
/// let json = serde_json::to_value(PhotoAnswer::from(photo)).unwrap();
/// assert_eq!(json["photo"]["mimeType"], "image/jpeg");
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct PhotoAnswer {
    photo: Photo,
}

impl From<characters::Photo> for PhotoAnswer {
    fn from(photo: characters::Photo) -> Self {
        Self { photo: photo.into() }
    }
}

/// A photo that was added.
///
/// ```
/// use dream_http::wire::characters::PhotoDone;
///
/// # let photo = dream_core::characters::Photo {
/// #     id: "3".parse().unwrap(),
/// #     uuid: uuid::Uuid::from_u128(3),
/// #     character: "7".parse().unwrap(),
/// #     thumbnail_url: "https://photos.example/small.jpg".to_owned(),
/// #     original_url: "https://photos.example/face.jpg".to_owned(),
/// #     mime_type: "image/jpeg".to_owned(),
/// #     thumbnail_size: 0,
/// #     original_size: 48_213,
/// #     created_at: dream_core::kernel::Timestamp::from_secs(1_769_600_000),
/// # };
/// let json = serde_json::to_value(PhotoDone::from(photo)).unwrap();
/// assert_eq!((&json["success"], &json["photo"]["id"]), (&true.into(), &3.into()));
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct PhotoDone {
    /// Always true.
    success: bool,
    photo: Photo,
}

impl From<characters::Photo> for PhotoDone {
    fn from(photo: characters::Photo) -> Self {
        Self { success: true, photo: photo.into() }
    }
}

/// That something was done, for people and for programs.
///
/// ```
/// use dream_http::problem::Lang;
/// use dream_http::wire::characters::Done;
///
/// let done = serde_json::to_value(Done::new(Lang::En, "角色已删除", "Character deleted")).unwrap();
/// assert_eq!(done, serde_json::json!({ "success": true, "message": "Character deleted" }));
/// ```
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    /// Always true.
    success: bool,
    /// In the language of `Accept-Language`.
    #[schema(value_type = String)]
    message: &'static str,
}

impl Done {
    /// The sentence in the reader's language.
    ///
    /// ```
    /// use dream_http::problem::Lang;
    /// use dream_http::wire::characters::Done;
    ///
    /// const DELETED: Done = Done::new(Lang::Zh, "角色已删除", "Character deleted");
    /// assert_eq!(serde_json::to_value(DELETED).unwrap()["message"], "角色已删除");
    /// ```
    pub const fn new(lang: Lang, zh: &'static str, en: &'static str) -> Self {
        let Message { message } = Message::new(lang, zh, en);
        Self { success: true, message }
    }
}

crate::input! {
    /// A character to be made.
    ///
    /// ```
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::characters::NewCharacter;
    ///
    /// let new: NewCharacter = read_value(serde_json::json!({ "name": "小红", "description": "" }))?;
    /// assert!(new.description.0.is_none());
    /// let refused = read_value::<NewCharacter>(serde_json::json!({ "description": "短发" })).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Required.at("name")]));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct NewCharacter {
        /// What it is called.
        pub name: Parsed<CharacterName>,
        /// What there is to say about it.
        pub description: Blank<CharacterDescription>,
    }
}

impl From<NewCharacter> for characters::NewCharacter {
    fn from(new: NewCharacter) -> Self {
        Self { name: new.name.0, description: new.description.0 }
    }
}

crate::input! {
    /// What is to change about a character. What is left out stays as it is.
    ///
    /// ```
    /// use dream_core::characters::CharacterUpdate;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::characters::CharacterChanges;
    ///
    /// let changes: CharacterChanges = read_value(serde_json::json!({ "description": "" }))?;
    /// let update = CharacterUpdate::from(changes);
    /// assert_eq!(update.name, None, "left out: it stays");
    /// assert_eq!(update.description, Some(None), "empty: it is taken away");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct CharacterChanges {
        /// A new name.
        pub name: Option<Parsed<CharacterName>>,
        /// A new description; an empty one takes it away.
        pub description: Option<Blank<CharacterDescription>>,
    }
}

impl From<CharacterChanges> for CharacterUpdate {
    fn from(changes: CharacterChanges) -> Self {
        Self {
            name: changes.name.map(|Parsed(name)| name),
            description: changes.description.map(|Blank(description)| description),
        }
    }
}

/// A picture as text. It may be long, so it is not copied, and what it is is found later.
///
/// ```
/// use dream_core::{Facts, Fault};
/// use dream_http::input::read_value;
/// use dream_http::wire::characters::Base64;
///
/// assert!(read_value::<Base64>("data:image/png;base64,iVBORw0KGgo=".into()).is_ok());
/// let refused = read_value::<Base64>(4711.into()).unwrap_err();
/// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Type("string").at("body")]));
/// ```
#[derive(Debug)]
pub struct Base64(String);

impl Deserr<Faults> for Base64 {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        place: ValuePointerRef<'_>,
    ) -> Result<Self, Faults> {
        <String as Deserr<Faults>>::deserialize_from_value(value, place).map(Self)
    }
}

impl Shape for Base64 {
    fn shape(_: &mut Schemas) -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(PhotoUpload::MAX_TEXT))
            .examples([serde_json::Value::from("data:image/png;base64,iVBORw0KGgo=")])
            .into()
    }
}

crate::input! {
    /// A photo that is sent along: it, a small copy, or both.
    ///
    /// ```
    /// use dream_core::characters::PhotoUpload;
    /// use dream_core::{Facts, Fault};
    /// use dream_http::input::read_value;
    /// use dream_http::wire::characters::SentPhoto;
    ///
    /// let small: SentPhoto = read_value(serde_json::json!({ "thumbnailData": "iVBORw0KGgo=" }))?;
    /// assert!(PhotoUpload::try_from(small).is_ok(), "either of the two will do");
    /// let none: SentPhoto = read_value(serde_json::json!({ "mimeType": "image/png" }))?;
    /// let refused = PhotoUpload::try_from(none).unwrap_err();
    /// assert_eq!(refused.facts(), &Facts::Fields(vec![Fault::Required.at("originalData")]));
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct SentPhoto {
        /// The photo in base64, with or without a `data:` prefix.
        pub original_data: Option<Base64>,
        /// A small copy, likewise. It is made where it is not sent.
        pub thumbnail_data: Option<Base64>,
        /// What the client takes the photo for. The content decides.
        pub mime_type: Option<Text<0, 100>>,
    }
}

impl TryFrom<SentPhoto> for PhotoUpload {
    type Error = dream_core::Error;

    fn try_from(photo: SentPhoto) -> dream_core::Result<Self> {
        let text = |data: Option<Base64>| data.map(|Base64(text)| text);
        PhotoUpload::new(text(photo.original_data), text(photo.thumbnail_data))
    }
}

crate::input! {
    /// A photo that lies elsewhere.
    ///
    /// ```
    /// use dream_core::characters::PhotoLink;
    /// use dream_core::media::PictureKind;
    /// use dream_http::input::read_value;
    /// use dream_http::wire::characters::LinkedPhoto;
    ///
    /// let linked: LinkedPhoto = read_value(serde_json::json!({
    ///     "thumbnailUrl": "https://photos.example/small.jpg",
    ///     "originalUrl": "https://photos.example/face.jpg",
    /// }))?;
    /// let link = PhotoLink::from(linked);
    /// assert_eq!((link.kind, link.original_size), (PictureKind::Jpeg, 0), "a size that nobody has told");
    /// # Ok::<(), dream_core::Error>(())
    /// ```
    pub struct LinkedPhoto {
        /// A small copy, by `https` at an allowed host.
        pub thumbnail_url: Parsed<PhotoUrl>,
        /// The photo, by `https` at an allowed host.
        pub original_url: Parsed<PhotoUrl>,
        /// What the photo is; `image/jpeg` unless given.
        pub mime_type: Option<OneOf<PictureKind>>,
        /// Bytes of the small copy.
        pub thumbnail_size: Option<Whole<0, LARGEST>>,
        /// Bytes of the photo.
        pub original_size: Option<Whole<0, LARGEST>>,
    }
}

impl From<LinkedPhoto> for PhotoLink {
    fn from(photo: LinkedPhoto) -> Self {
        let size = |size: Option<Whole<0, LARGEST>>| size.map_or(0, |Whole(bytes)| bytes);
        Self {
            thumbnail_url: photo.thumbnail_url.0,
            original_url: photo.original_url.0,
            kind: photo.mime_type.map_or(PictureKind::Jpeg, |OneOf(kind)| kind),
            thumbnail_size: size(photo.thumbnail_size),
            original_size: size(photo.original_size),
        }
    }
}
