import { createHash } from 'node:crypto';

/** What a sealed text was found to be. */
export type Unsealed =
  | { readonly lines: readonly string[] }
  /** Why it is not what was written: cut short, changed, of another kind. */
  | { readonly damage: string };

/**
 * Lines under a title with a checksum behind them, so that a file that was cut short or changed is told from a whole one.
 *
 * @param title kind and version of the content
 * @param lines none of them with a line's end
 */
export function seal(title: string, lines: readonly string[]): string {
  const body = `${[title, ...lines].join('\n')}\n`;
  return `${body}${sum(body)}\n`;
}

/** The lines of a sealed text, or what is wrong with it. */
export function unseal(title: string, text: string): Unsealed {
  if (text === '') return { damage: 'it is empty' };
  if (!text.endsWith('\n')) return { damage: 'it is cut short' };
  const last = text.lastIndexOf('\n', text.length - 2) + 1;
  const body = text.slice(0, last);
  const found = text.slice(last, -1);
  const [first, ...lines] = body.slice(0, -1).split('\n');
  if (!found.startsWith(SUM)) return { damage: 'it is cut short: there is no checksum at its end' };
  if (found !== sum(body)) return { damage: 'its checksum is not that of its content' };
  if (first !== title)
    return { damage: `it begins with ${JSON.stringify(first)}, expected ${JSON.stringify(title)}` };
  return { lines };
}

const SUM = 'sha256 ';

function sum(body: string): string {
  return SUM + createHash('sha256').update(body).digest('hex');
}
