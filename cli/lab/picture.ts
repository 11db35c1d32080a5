/**
 * The lab drawn with lines: the router, the cables, the nodes.
 */

import type { NodePlace, Topology } from '#lab/topology.ts';

/** Nodes that are drawn at most; the rest is a line of text. */
const MOST_DRAWN = 4;

/** What stands beside a title: two blanks in front, a line and a blank at each side. */
const MARGIN = 6;

/** Lines of at most `width` characters, as far as one node fits. */
export function drawLab(topology: Topology, width: number): string[] {
  const boxes = topology.nodes.map((node) => nodeBox(node));
  const wide = Math.max(...boxes.map((lines) => lines[0]!.length));
  const room = Math.max(1, Math.floor(width / (wide + 2)));
  const drawn = boxes.slice(0, Math.min(MOST_DRAWN, room));
  const span = drawn.length * (wide + 2) - 2;
  const { tor } = topology;
  const facts = [`tor   ${tor.kind}   AS ${tor.asn}`, `and the world outside: ${tor.outside.join(', ')}`];
  const whole = facts.join('   ');
  const titles = whole.length + MARGIN <= width ? [whole] : facts;
  const inner = Math.max(...titles.map((title) => title.length + 2), span - 2);
  const stems = drawn.map((_, i) => i * (wide + 2) + Math.floor(wide / 2));
  const under = (mark: string, fill: string): string =>
    Array.from({ length: inner + 2 }, (_, at) => (stems.includes(at) ? mark : fill)).join('');
  const lines = [
    `┌${'─'.repeat(inner)}┐`,
    ...titles.map((title) => `│${centre(title, inner)}│`),
    `└${under('┬', '─').slice(1, -1)}┘`,
    under('│', ' ').trimEnd(),
    ...Array.from({ length: Math.max(...drawn.map((box) => box.length)) }, (_, line) =>
      drawn
        .map((box) => (box[line] ?? '').padEnd(wide))
        .join('  ')
        .trimEnd(),
    ),
  ];
  const rest = boxes.length - drawn.length;
  if (rest > 0) lines.push(`and ${rest} more, to ${topology.nodes.at(-1)!.name}`);
  return lines.map((line) => `  ${[...line].slice(0, width - 2).join('')}`);
}

function nodeBox(node: NodePlace): string[] {
  const lines = [
    `${node.name}   AS ${node.asn}`,
    ...node.link.map(({ node }) => node),
    ...node.podCidrs.map((cidr) => `pods ${cidr}`),
  ];
  const inner = Math.max(...lines.map((line) => line.length)) + 2;
  const half = Math.floor((inner + 2) / 2);
  return [
    `┌${'─'.repeat(half - 1)}┴${'─'.repeat(inner - half)}┐`,
    ...lines.map((line) => `│ ${line.padEnd(inner - 1)}│`),
    `└${'─'.repeat(inner)}┘`,
  ];
}

function centre(text: string, width: number): string {
  const left = Math.floor((width - text.length) / 2);
  return `${' '.repeat(left)}${text}${' '.repeat(width - left - text.length)}`;
}
