import type { Netns } from '#test/helpers/netns.ts';

/** Hooks of kube-proxy in its mode nftables, with the look at the connection that each begins with. */
const FILTERS: Readonly<Record<string, { hook: string; priority: number; checks: number }>> = {
  'filter-prerouting': { hook: 'prerouting', priority: -110, checks: 1 },
  'filter-input': { hook: 'input', priority: -110, checks: 2 },
  'filter-forward': { hook: 'forward', priority: -110, checks: 2 },
  'filter-output': { hook: 'output', priority: -110, checks: 2 },
};
const TRANSLATIONS: Readonly<Record<string, { hook: string; priority: number; to: string }>> = {
  'nat-prerouting': { hook: 'prerouting', priority: -100, to: 'services' },
  'nat-output': { hook: 'output', priority: -100, to: 'services' },
  'nat-postrouting': { hook: 'postrouting', priority: 100, to: 'masquerading' },
};

/**
 * What a packet meets on any node with kube-proxy, though there is no service: connections are tracked, and each of its hooks
 * is passed. It is what a network plugin for Kubernetes comes on top of.
 */
export function startServiceProxy(node: Netns): void {
  const chain = (name: string, ...rules: readonly string[]) => `chain ${name} {\n${rules.join('\n')}\n}`;
  const text = [
    'table ip kube-proxy {',
    chain('checks'),
    chain('services'),
    chain('masquerading', 'mark and 0x4000 != 0 masquerade'),
    ...Object.entries(FILTERS).map(([name, { hook, priority, checks }]) =>
      chain(
        name,
        `type filter hook ${hook} priority ${priority};`,
        ...Array.from({ length: checks }, () => 'ct state new jump checks'),
      ),
    ),
    ...Object.entries(TRANSLATIONS).map(([name, { hook, priority, to }]) =>
      chain(name, `type nat hook ${hook} priority ${priority};`, `jump ${to}`),
    ),
    '}',
  ];
  node.exec('nft', ['-f', '-'], { input: `${text.join('\n')}\n` });
}
