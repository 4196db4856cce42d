import { attempt, dream } from '../../client';
import type { components, paths } from '../../dream/index';

type Category = components['schemas']['Category'];
type Image = components['schemas']['Image'];
type CategoryId = NonNullable<NonNullable<paths['/v1/gallery/images']['get']['parameters']['query']>['category']>;

const listOf = (category: CategoryId) => dream.pages('/v1/gallery/images', { limit: 20, category });
let list = listOf('all');

Page({
  data: {
    categories: [] as Category[],
    category: 'all' as CategoryId,
    images: [] as Image[],
    loaded: false,
  },

  onLoad() {
    void attempt(async () => {
      const { categories } = await dream.get('/v1/gallery/categories');
      this.setData({ categories });
    });
    void this.read(() => list.refresh());
  },

  async onPullDownRefresh() {
    await this.read(() => list.refresh());
    await wx.stopPullDownRefresh();
  },

  onReachBottom() {
    void this.read(() => list.more());
  },

  onCategory(event: WechatMiniprogram.BaseEvent<WechatMiniprogram.IAnyObject, { id: CategoryId }>) {
    const category = event.currentTarget.dataset.id;
    list = listOf(category);
    this.setData({ category, images: [], loaded: false });
    void this.read(() => list.refresh());
  },

  onPicture(event: WechatMiniprogram.BaseEvent<WechatMiniprogram.IAnyObject, { url: string }>) {
    void wx.previewImage({ urls: [event.currentTarget.dataset.url] });
  },

  onLike(event: WechatMiniprogram.BaseEvent<WechatMiniprogram.IAnyObject, { id: number }>) {
    const at = this.data.images.findIndex(({ id }) => id === event.currentTarget.dataset.id);
    const image = this.data.images[at];
    if (!image) return;
    void attempt(async () => {
      const path = { path: { id: image.id } };
      const { liked, totalLikes } = image.isLiked
        ? await dream.delete('/v1/gallery/images/{id}/like', path)
        : await dream.post('/v1/gallery/images/{id}/like', path);
      this.setData({ [`images[${at}].isLiked`]: liked, [`images[${at}].likes`]: totalLikes });
    });
  },

  async read(work: () => Promise<void>) {
    const asked = list;
    await attempt(work);
    // Another category may have been chosen meanwhile.
    if (asked === list) this.setData({ images: list.items, loaded: true });
  },
});
