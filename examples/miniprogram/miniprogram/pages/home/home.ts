import { attempt, dream } from '../../client';
import type { components, Generate, User } from '../../dream/index';

type Template = components['schemas']['PromptTemplate'];
type Quota = components['schemas']['Quota'];

const RATIOS = ['1:1', '3:4', '4:3', '9:16', '16:9'] as const;
const MODES = ['draft', 'final'] as const;

Page({
  data: {
    user: null as User | null,
    quota: null as Quota | null,
    templates: [] as Template[],
    templateId: '',
    prompt: '',
    ratios: RATIOS,
    ratio: 0,
    modes: ['草稿 · 快', '成品 · 精'],
    mode: 0,
    busy: false,
  },

  onLoad() {
    void attempt(async () => {
      const { templates } = await dream.get('/v1/templates/prompts');
      this.setData({ templates });
    });
  },

  onShow() {
    void attempt(async () => {
      // The first call that needs a login logs in by itself.
      const [quota, { user }] = await Promise.all([dream.get('/v1/jobs/quota'), dream.get('/v1/users/me')]);
      this.setData({ quota, user });
    });
  },

  onPrompt(event: WechatMiniprogram.Input) {
    this.setData({ prompt: event.detail.value, templateId: '' });
  },

  onTemplate(event: WechatMiniprogram.BaseEvent<WechatMiniprogram.IAnyObject, { id: string }>) {
    const template = this.data.templates.find(({ templateId }) => templateId === event.currentTarget.dataset.id);
    if (template) this.setData({ templateId: template.templateId, prompt: template.prompt });
  },

  onRatio(event: WechatMiniprogram.PickerChange) {
    this.setData({ ratio: Number(event.detail.value) });
  },

  onMode(event: WechatMiniprogram.PickerChange) {
    this.setData({ mode: Number(event.detail.value) });
  },

  async onGenerate() {
    const { prompt, templateId, ratio, mode } = this.data;
    this.setData({ busy: true });
    await attempt(async () => {
      const what: Generate = { prompt, mode: MODES[mode] ?? 'draft', aspectRatio: RATIOS[ratio] ?? '1:1' };
      if (templateId !== '') what.templateId = templateId;
      const { jobId } = await dream.generate(what);
      await wx.navigateTo({ url: `/pages/job/job?id=${jobId}` });
    });
    this.setData({ busy: false });
  },
});
