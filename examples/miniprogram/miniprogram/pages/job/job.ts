import { attempt, dream } from '../../client';
import { isFinal, type Job, type Watch } from '../../dream/index';
import { stateOf } from '../../format';

Page({
  data: {
    job: null as Job | null,
    state: '',
    ended: false,
    canCancel: false,
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

  onPicture(event: WechatMiniprogram.BaseEvent<WechatMiniprogram.IAnyObject, { url: string }>) {
    const urls = this.data.job?.resultUrls ?? [];
    void wx.previewImage({ urls, current: event.currentTarget.dataset.url });
  },
});
