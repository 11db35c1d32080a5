import { connect, createNetns, type Netns } from '#test/helpers/netns.ts';

/** A link that any number of nodes are on: 10.0.0.K and fd00::K for node K. */
export class Link implements Disposable {
  readonly #hub = createNetns();

  constructor() {
    this.#hub.exec('ip', ['link', 'add', 'br0', 'type', 'bridge']);
    this.#hub.exec('ip', ['link', 'set', 'br0', 'up']);
  }

  node(k: number): Netns {
    const netns = createNetns();
    const [port] = connect({ netns: this.#hub }, { netns, addresses: [`10.0.0.${k}/24`, `fd00::${k}/64`] });
    this.#hub.exec('ip', ['link', 'set', port, 'master', 'br0']);
    return netns;
  }

  [Symbol.dispose](): void {
    this.#hub.remove();
  }
}
