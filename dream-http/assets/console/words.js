// Every word of the console, in Chinese and English.
const WORDS = {
  console: ["管理后台", "administration"], key: ["管理密钥", "Admin key"], signIn: ["登录", "Sign in"], signOut: ["退出", "Sign out"],
  keyHint: ["密钥只保存在本标签页中,关闭即失效。", "The key stays in this tab and is gone when you close it."],
  overview: ["概览", "Overview"], users: ["用户", "Users"], orders: ["订单", "Orders"], templates: ["模板", "Templates"],
  gallery: ["画廊", "Gallery"], audit: ["审计日志", "Audit log"],
  totalUsers: ["用户总数", "Users"], vipUsers: ["VIP 用户", "VIP users"], todayNewUsers: ["今日新增", "New today"],
  totalOrders: ["订单总数", "Orders"], pendingOrders: ["待支付", "Waiting for payment"], todayRevenue: ["今日收入", "Revenue today"],
  runningJobs: ["进行中的任务", "Generations under way"],
  newUsers: ["新增用户", "New users"], activeUsers: ["活跃用户", "Active users"], generations: ["生成次数", "Generations"],
  successRate: ["成功率", "Success rate"], revenue: ["收入", "Revenue"],
  searchUsers: ["昵称、编号、openid 或手机号", "Name, id, openid or phone"], search: ["搜索", "Search"], level: ["会员等级", "Level"],
  everyLevel: ["全部等级", "Every level"], everyState: ["全部状态", "Every state"], everyKind: ["全部类型", "Every kind"],
  name: ["昵称", "Name"], points: ["积分", "Points"], since: ["注册时间", "Since"], days: ["天数", "Days"], endLevel: ["取消会员", "End level"],
  newBalance: ["新余额", "New balance"], reason: ["原因", "Reason"], delete: ["删除", "Delete"], deleteUser: ["删除用户", "Delete user"],
  order: ["订单号", "Order"], user: ["用户", "User"], what: ["内容", "What"], amount: ["金额", "Amount"], state: ["状态", "State"], at: ["时间", "At"],
  refund: ["退款", "Refund"], refundYuan: ["退款金额(元),留空为全额", "Yuan to refund; all of it if left empty"],
  title: ["标题", "Title"], prompt: ["提示词", "Prompt"], category: ["分类", "Category"], used: ["使用次数", "Used"], edit: ["编辑", "Edit"],
  newTemplate: ["新建模板", "New template"],
  PENDING: ["待审核", "Pending"], PUBLIC: ["已公开", "Public"], REJECTED: ["已拒绝", "Rejected"], REMOVED: ["已移除", "Removed"],
  approve: ["通过", "Approve"], reject: ["拒绝", "Reject"], remove: ["移除", "Remove"],
  who: ["操作者", "Who"], action: ["操作", "Action"], target: ["对象", "Target"], before: ["之前", "Before"], after: ["之后", "After"],
  more: ["加载更多", "More"], nothing: ["没有数据", "Nothing here"], cancel: ["取消", "Cancel"], confirm: ["确定", "Confirm"], done: ["已完成", "Done"],
};
const LANGUAGE = "dream-language";

export const language = () => localStorage.getItem(LANGUAGE) ?? (navigator.language.startsWith("zh") ? "zh-CN" : "en");
export const setLanguage = (name) => localStorage.setItem(LANGUAGE, name);

/** The word in the reader's language. */
export const speak = (word) => WORDS[word]?.[language() === "zh-CN" ? 0 : 1] ?? word;
