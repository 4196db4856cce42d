/** Where the program finds its server, and who plays WeChat. */
export const config = {
  /** Where Dream is reached. On a phone it must be https, and be listed in the mini-program's console. */
  baseUrl: 'http://127.0.0.1:3000',
  /** Who logs in where `dream serve` plays WeChat. Empty with the real WeChat. */
  sandboxUser: 'alice',
  /** Where `dream sandbox` plays WeChat Pay beside a server of its own, such as `http://127.0.0.1:4001`. */
  sandboxTill: '',
};
