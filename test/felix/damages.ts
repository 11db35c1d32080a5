/** What others may do to the table of a node where pod `mgyslot5` is, and `mgyslot6` is not: name and script for `nft -f`. */
export const DAMAGES: readonly (readonly [string, string])[] = [
  ['the table deleted', 'delete table inet margay'],
  ['everything flushed', 'flush ruleset'],
  ['a chain flushed', 'flush chain inet margay forward'],
  ['all chains flushed', 'flush table inet margay'],
  ['an element removed', 'delete element inet margay ingress-isolated { "mgyslot5" }'],
  ['a set flushed', 'flush set inet margay workloads4'],
  ['an element added', 'add element inet margay from-pods { "mgyslot6" : return }'],
  ['a rule inserted', 'insert rule inet margay forward accept'],
  ['a rule added', 'add rule inet margay deny counter'],
  ['a chain added', 'add chain inet margay another { type filter hook forward priority 20; policy drop; }'],
  ['a set added', 'add set inet margay another { type ipv4_addr; elements = { 10.0.0.1 }; }'],
  ['a counter added', 'add counter inet margay another'],
  ['the policy of a chain changed', 'add chain inet margay forward { policy drop; }'],
  ['the table put to sleep', 'add table inet margay { flags dormant; }'],
];

/** Interfaces of pods whose policy `nft list table` has in force, for what they begin or for what is begun with them. */
export function knownIn(text: string, direction: 'egress' | 'ingress'): string[] {
  const names = [direction === 'egress' ? 'map from-pods ' : 'map to-pods ', `set ${direction}-isolated `];
  return sectionsOf(text)
    .filter((section) => names.some((name) => section.startsWith(name)))
    .flatMap((section) => [...section.matchAll(/"(mgy[^"]*)"/g)].map(([, name]) => name!))
    .sort();
}

/** What `nft list table` says, in no order: what is made anew stands elsewhere. */
export function sectionsOf(text: string): string[] {
  return text
    .replace(/^(table [^\n]*\n(?:\t(?:comment|flags)[^\n]*\n)*)/, '$1\n')
    .split('\n\n')
    .map((section) => section.trim().replace(/\n}$/, ''))
    .sort();
}
