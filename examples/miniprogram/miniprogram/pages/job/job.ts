import { attempt, dream } from '../../client';
import { type components, DreamError, isFinal, type Job, type Watch } from '../../dream/index';
import { stateOf } from '../../format';

type CategoryId = components['schemas']['Publication']['categoryId'];

Page({
  data: {
    job: null as Job | null,
    state: '',
    ended: false,
    canCancel: false,
    canPublish: false,
  },

  /** Ends with the page. */
  watch: undefined as Watch | undefined,

  onLoad({ id = '' }: { id?: string }) {
    this.follow(id);
  },

  onUnload() {
    const watch = this.watch;
    this.watch = undefined;
    watch?.stop();
  },

  follow(id: string) {
    const watch = dream.watchJob(id, {
      onChange: (job) =>
        this.setData({
          job,
          state: stateOf(job.status),
          ended: isFinal(job),
          canCancel: job.status === 'QUEUED' || job.status === 'RETRYING',
          canPublish: job.status === 'SUCCEEDED' && job.resultUrls.length > 0,
        }),
    });
    this.watch = watch;
    // What becomes of it after the page was left is not told to anybody.
    watch.done.catch((error) => this.watch === watch && attempt(() => Promise.reject(error)));
  },

  async onCancel() {
    const jobId = this.data.job?.jobId;
    if (jobId === undefined) return;
    // The watch tells the page what became of it.
    await attempt(() => dream.delete('/v1/jobs/{jobId}', { path: { jobId } }));
  },

  async onPublish() {
    const jobId = this.data.job?.jobId;
    if (jobId === undefined) return;
    const published = await attempt(async () => {
      const { categories } = await dream.get('/v1/gallery/categories');
      const choice = categories.filter(({ id }) => id !== 'all');
      const chosen = await wx.showActionSheet({ itemList: choice.map(({ name }) => name) }).catch(() => undefined);
      const categoryId = chosen && choice[chosen.tapIndex]?.id;
      if (categoryId === undefined) throw new DreamError('STOPPED');
      await dream.post('/v1/gallery/publish', { body: { jobId, categoryId: categoryId as CategoryId } });
    });
    if (!published) return;
    this.setData({ canPublish: false });
    await wx.showToast({ title: '已提交到画廊', icon: 'success' });
  },

  onPicture(event: WechatMiniprogram.BaseEvent<WechatMiniprogram.IAnyObject, { url: string }>) {
    const urls = this.data.job?.resultUrls ?? [];
    void wx.previewImage({ urls, current: event.currentTarget.dataset.url });
  },
});
