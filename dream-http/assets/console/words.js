// Every word of the console, in Chinese and English. `{name}` stands for a value.
const WORDS = {
  console: ["管理后台", "administration"], key: ["管理密钥", "Admin key"], signIn: ["登录", "Sign in"], signOut: ["退出", "Sign out"],
  keyHint: ["密钥只保存在本标签页中，关闭即失效。", "The key stays in this tab and is gone when you close it."],
  overview: ["概览", "Overview"], users: ["用户", "Users"], orders: ["订单", "Orders"], templates: ["模板", "Templates"],
  gallery: ["画廊", "Gallery"], audit: ["审计日志", "Audit log"],
  totalUsers: ["用户总数", "Users"], vipUsers: ["VIP 用户", "VIP users"], todayNewUsers: ["今日新增", "New today"],
  totalOrders: ["订单总数", "Orders"], pendingOrders: ["待支付", "Waiting for payment"], todayRevenue: ["今日收入", "Revenue today"],
  runningJobs: ["进行中的任务", "Running generations"],
  newUsers: ["新增用户", "New users"], activeUsers: ["活跃用户", "Active users"], generations: ["生成次数", "Generations"],
  successRate: ["成功率", "Success rate"], revenue: ["收入", "Revenue"],
  searchUsers: ["昵称、编号、openid 或手机号", "Name, id, openid or phone"], search: ["搜索", "Search"],
  level: ["会员等级", "Level"], everyLevel: ["全部等级", "Every level"], everyState: ["全部状态", "Every state"], everyKind: ["全部类型", "Every kind"],
  name: ["昵称", "Name"], phone: ["手机号", "Phone"], points: ["积分", "Points"], since: ["注册时间", "Since"], days: ["天数", "Days"],
  until: ["至 {at}", "until {at}"],
  giveLevel: ["开通会员", "Grant level"], levelAdds: ["天数会加在该用户现有的会员时间之后。", "The days are added to what this user has left."],
  endLevel: ["取消会员", "End level"],
  levelEnds: ["该用户的 {level} 会员（至 {at}）立即结束，剩余时间作废，且不会退款。", "The {level} level, valid until {at}, ends at once. The time left is lost and nothing is refunded."],
  changePoints: ["增减积分", "Change points"], pointsDelta: ["增减数量", "Change by"],
  pointsDeltaHint: ["正数为增加，负数为扣除，例如 100 或 -20", "Positive adds, negative takes, such as 100 or -20"],
  balanceAfter: ["调整后的余额：", "Balance afterwards:"],
  pointsMissing: ["余额不足，还差 {points} 积分", "The balance is too low: {points} points are missing"],
  ledgerShowsReason: ["该用户会在积分明细中看到", "The user sees it in the list of transactions"],
  reason: ["原因", "Reason"], delete: ["删除", "Delete"], deleteUser: ["删除用户", "Delete user"],
  userIsErased: ["该用户的个人资料、角色、收藏和未公开的作品将被永久清除，会员和积分作废，登录立即失效。订单和积分流水匿名保留。此操作无法撤销。",
    "Personal data, characters, favorites and unpublished pictures of this user are erased for good, level and points are lost, and every login ends. Orders and ledger stay without the person. This cannot be undone."],
  order: ["订单号", "Order"], user: ["用户", "User"], what: ["内容", "What"], amount: ["金额", "Amount"], state: ["状态", "State"], at: ["时间", "At"],
  refund: ["退款", "Refund"], refundYuan: ["退款金额（元）", "Amount to refund (yuan)"], refundAll: ["留空为全额退款", "Leave it empty to refund everything"],
  refunded: ["已退金额", "Refunded so far"],
  payerSeesReason: ["付款人会在微信支付的退款通知中看到", "The payer sees it in WeChat Pay's refund message"],
  refundTakesDays: ["退款原路返回付款人，该订单的会员天数会被收回。退款成功后无法撤销。", "The money goes back to the payer, and the order's days of membership are taken back. A refund cannot be undone."],
  refundTakesPoints: ["退款原路返回付款人，该订单的积分会被收回；积分已用掉时不能退款。退款成功后无法撤销。", "The money goes back to the payer, and the order's points are taken back; points that are spent cannot be refunded. A refund cannot be undone."],
  title: ["标题", "Title"], prompt: ["提示词", "Prompt"], category: ["分类", "Category"], used: ["使用次数", "Used"], edit: ["编辑", "Edit"], save: ["保存", "Save"],
  newTemplate: ["新建模板", "New template"], templateIdHint: ["字母、数字、_、- 和 .，创建后不能修改", "Letters, digits, _, - and .; it cannot be changed later"],
  deleteTemplate: ["删除模板", "Delete template"],
  templateIsGone: ["该模板会立即从所有用户的列表中消失，使用次数一并清除，收藏它的用户将看到内容已不存在。此操作无法撤销。",
    "The template disappears from every user's list at once, together with its count of uses; those who keep it as a favorite see that it is gone. This cannot be undone."],
  approve: ["通过", "Approve"], reject: ["拒绝", "Reject"], remove: ["移除", "Remove"],
  everybodySees: ["该作品会立即对所有人公开。", "Everybody sees the picture at once."],
  nobodySees: ["该作品不再对他人公开。作者会看到原因，并可再次提交，但须经人工审核。", "Nobody but the author sees the picture. The author sees the reason and may publish it again, which then waits for a person."],
  goneForGood: ["该作品及其点赞将从画廊永久移除，作者不能再次发布这张图片。此操作无法撤销。", "The picture and its likes are removed from the gallery for good, and its author cannot publish it again. This cannot be undone."],
  authorSeesReason: ["作者会看到这段文字", "The author sees this text"],
  picture: ["图片", "Picture"], text: ["文字", "Text"], author: ["作者", "Author"], checks: ["审核结果", "Checks"],
  who: ["操作者", "Who"], action: ["操作", "Action"], target: ["对象", "Target"], before: ["之前", "Before"], after: ["之后", "After"],
  more: ["加载更多", "More"], nothing: ["没有数据", "Nothing here"], cancel: ["取消", "Cancel"], done: ["已完成", "Done"],
  isRequired: ["必填", "Required"], isNoAmount: ["请输入金额，最多两位小数", "Enter an amount with at most two decimals"],
  isNoInteger: ["请输入整数", "Enter a whole number"], isOutside: ["须在 {min} 到 {max} 之间", "Must be between {min} and {max}"],
  isAbove: ["不能超过 {max}", "Must be at most {max}"], isBelow: ["不能小于 {min}", "Must be at least {min}"],
};

/** The names of the states that the API answers with, by what they are about. */
const STATES = {
  order: { PENDING: ["待支付", "Unpaid"], PAID: ["已支付", "Paid"], CANCELLED: ["已取消", "Cancelled"], REFUNDED: ["已退款", "Refunded"], VIP: ["会员", "Membership"], POINTS: ["积分", "Points"] },
  image: { PENDING: ["待审核", "Pending"], PUBLIC: ["已公开", "Public"], REJECTED: ["已拒绝", "Rejected"], REMOVED: ["已移除", "Removed"] },
  refund: { PROCESSING: ["退款中", "Refund under way"], SUCCEEDED: ["已退款", "Refunded"], FAILED: ["退款失败", "Refund failed"], CLOSED: ["退款已关闭", "Refund closed"] },
  verdict: { PASS: ["通过", "passed"], REVIEW: ["需人工复核", "needs a person"], RISKY: ["违规", "risky"] },
};
const LANGUAGE = "dream-language";

export const language = () => localStorage.getItem(LANGUAGE) ?? (navigator.language.startsWith("zh") ? "zh-CN" : "en");
export const setLanguage = (/** @type {string} */ name) => localStorage.setItem(LANGUAGE, name);

const column = () => (language() === "zh-CN" ? 0 : 1);

/**
 * The text in the reader's language.
 * @param {keyof typeof WORDS} name
 * @param {Record<string, string>} values
 */
export const speak = (name, values = {}) => (WORDS[name][column()] ?? name).replace(/\{(\w+)\}/g, (_, value) => values[value] ?? "");

/**
 * The name of a state in the reader's language.
 * @param {string | null} state
 * @param {keyof typeof STATES} kind
 */
export function word(state, kind) {
  /** @type {Record<string, string[]>} */
  const names = STATES[kind];
  return state === null ? "–" : names[state]?.[column()] ?? state;
}
