//! The gallery.

use std::str::FromStr;

use dream_core::Fault;
use dream_core::gallery::{self, CATEGORIES, GalleryFilter, GalleryImage, GallerySort};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::time::At;
use crate::input::{OneOf, Parsed, Text, Word};

/// A picture as everybody may see it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    id: i64,
    image_url: String,
    thumbnail_url: String,
    prompt: String,
    category_id: String,
    category: CategoryName,
    tags: Vec<String>,
    likes: i64,
    /// Null when not signed in.
    is_liked: Option<bool>,
    /// Null where the program came with the picture, or the user is gone.
    author: Option<Author>,
    author_id: Option<i64>,
    #[schema(inline)]
    created_at: At,
}

/// A category by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoryName {
    id: String,
    name: String,
}

impl CategoryName {
    fn of(id: &str) -> Self {
        let name = gallery::category(id).map_or(id, |category| category.name);
        Self { id: id.to_owned(), name: name.to_owned() }
    }
}

/// Who published a picture.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Author {
    id: i64,
    nick_name: Option<String>,
    avatar_url: Option<String>,
}

impl From<gallery::Author> for Author {
    fn from(author: gallery::Author) -> Self {
        Self { id: author.id.get(), nick_name: author.nick_name, avatar_url: author.avatar_url }
    }
}

impl From<GalleryImage> for Image {
    fn from(image: GalleryImage) -> Self {
        Self {
            id: image.id.get(),
            image_url: image.image_url,
            thumbnail_url: image.thumbnail_url,
            prompt: image.prompt,
            category: CategoryName::of(&image.category),
            category_id: image.category,
            tags: image.tags,
            likes: image.likes,
            is_liked: image.is_liked,
            author_id: image.author.as_ref().map(|author| author.id.get()),
            author: image.author.map(Author::from),
            created_at: image.created_at.into(),
        }
    }
}

/// One picture.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageAnswer {
    image: Image,
}

impl From<GalleryImage> for ImageAnswer {
    fn from(image: GalleryImage) -> Self {
        Self { image: image.into() }
    }
}

/// A category, or the first one, which stands for all.
#[derive(Debug, Serialize, ToSchema)]
pub struct Category {
    #[schema(value_type = String, example = "portrait")]
    id: &'static str,
    #[schema(value_type = String)]
    name: &'static str,
    #[schema(value_type = String)]
    icon: &'static str,
}

/// Every category.
#[derive(Debug, Serialize, ToSchema)]
pub struct Categories {
    categories: Vec<Category>,
}

impl Categories {
    /// Every category there is.
    pub fn all() -> Self {
        let category = |one: &gallery::Category| Category { id: one.id, name: one.name, icon: one.icon };
        Self { categories: CATEGORIES.iter().map(category).collect() }
    }
}

/// The id of a category; `all` stands for every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CategoryId(pub Option<&'static str>);

const CATEGORY_IDS: &[&str] = &["all", "portrait", "landscape", "cartoon", "abstract"];

impl FromStr for CategoryId {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match gallery::category(text) {
            Some(category) => Ok(Self(Some(category.id))),
            None if text == "all" => Ok(Self(None)),
            None => Err(Fault::OneOf(CATEGORY_IDS)),
        }
    }
}

impl Word for CategoryId {
    fn schema() -> Schema {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(CATEGORY_IDS.iter().copied())).into()
    }
}

crate::input! {
    /// Which pictures are wanted, and in which order.
    pub struct ImageFilter {
        /// Those of this category.
        pub category: Option<Parsed<CategoryId>>,
        /// Those with this tag.
        pub tag: Option<Text<1, 32>>,
        /// Newest or most liked first.
        pub sort: Option<OneOf<GallerySort>>,
    }
}

impl From<ImageFilter> for GalleryFilter {
    fn from(filter: ImageFilter) -> Self {
        Self {
            category: filter.category.and_then(|Parsed(CategoryId(id))| id),
            tag: filter.tag.map(|Text(tag)| tag),
            sort: filter.sort.map(|OneOf(sort)| sort).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_filter_are_the_categories() {
        let ids: Vec<&str> = CATEGORIES.iter().map(|category| category.id).collect();
        assert_eq!(ids, CATEGORY_IDS);
    }
}
