/** `1999` fen are `19.99` yuan. */
export function yuan(fen: number): string {
  return fen % 100 === 0 ? String(fen / 100) : (fen / 100).toFixed(2);
}

/** An instant as people write it, on their own clock. */
export function moment(text: string | null): string {
  if (text === null) return '';
  const at = new Date(text);
  const two = (number: number): string => String(number).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

const STATES: Readonly<Record<string, string>> = {
  QUEUED: '排队中',
  RUNNING: '生成中',
  RETRYING: '重试中',
  SUCCEEDED: '已完成',
  FAILED: '失败',
  CANCELED: '已取消',
};

/** A job's state in words. */
export function stateOf(status: string): string {
  return STATES[status] ?? status;
}
