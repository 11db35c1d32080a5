/** Where a source file names another module. */
export interface ModuleReference {
  /** As written; undefined when it is not a plain string, as in `import(name)`. */
  readonly specifier: string | undefined;
  /** Line of the specifier, from 1. */
  readonly line: number;
}

/** Thrown when a string, template or comment of the source does not end. */
export class UnreadableSourceError extends Error {
  override readonly name = 'UnreadableSourceError';
  readonly code = 'SOURCE_UNREADABLE';
  readonly line: number;

  constructor(line: number, what: string) {
    super(`${what} that starts here does not end`);
    this.line = line;
  }
}

/**
 * Finds all module references of a TypeScript or JavaScript source: static and dynamic imports, re-exports,
 * `import type`, `import('...')` as a type, `require`, `import.meta.resolve`, and the `new URL('./x.ts', ...)` that
 * workers are loaded by. Comments and the insides of strings do not count. It knows just enough of the language's
 * tokens for that (TypeScript 7 has no parser to call, and esbuild drops type imports).
 *
 * @throws UnreadableSourceError
 */
export function moduleReferences(source: string): ModuleReference[] {
  const tokens = tokenize(source);
  return tokens.flatMap((token, index): ModuleReference[] => {
    const before = tokens[index - 1];
    const words = tokens.slice(Math.max(0, index - 6), index).map(({ text }) => text);
    const call = words.join(' ');
    if (token.kind === 'string') {
      // `import 'x'`, and `from 'x'`, which no other statement has in this order.
      const isStatement = before?.kind === 'word' && (before.text === 'import' || before.text === 'from');
      const isUrl = /(^| )new URL \($/.test(call) && /\.[cm]?[jt]s$/.test(token.text);
      const isCall = /(^| )(?<!\. )(import|require|import \. meta \. resolve|require \. resolve) \($/.test(
        call,
      );
      return isStatement || isCall || isUrl ? [{ specifier: token.text, line: token.line }] : [];
    }
    return /(^| )(?<!\. )import \($/.test(call) ? [{ specifier: undefined, line: token.line }] : [];
  });
}

interface Token {
  readonly kind: 'word' | 'string' | 'mark';
  /** A string's value without its quotes (escapes left as written); else the token itself. */
  readonly text: string;
  readonly line: number;
}

/** After these words a slash starts a regular expression; after other words it divides. */
const BEFORE_EXPRESSION = new Set(
  'return typeof case do else in of instanceof new delete void throw yield await'.split(' '),
);

function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  /** For each template that is open around the current place: how many braces are open in its `${`. */
  const templates: number[] = [];
  let at = 0;
  let line = 1;

  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const text = pattern.exec(source)?.[0];
    if (text === undefined) return undefined;
    at += text.length;
    line += text.split('\n').length - 1;
    return text;
  };
  const push = (kind: Token['kind'], text: string, on = line) => tokens.push({ kind, text, line: on });
  /** From after a backquote, or after the brace that ends a `${`, to the next of either. */
  const template = (isStart: boolean) => {
    const start = line;
    const text = take(/(?:[^`\\$]|\\[\s\S]|\$(?!\{))*(?:`|\$\{)/y);
    if (text === undefined) throw new UnreadableSourceError(start, 'a template');
    if (text.endsWith('`')) {
      if (!isStart) templates.pop();
      push(isStart ? 'string' : 'mark', isStart ? text.slice(0, -1) : '`', start);
    } else {
      if (isStart) templates.push(0);
      push('mark', '${', line);
    }
  };

  take(/#!.*/y);
  while (at < source.length) {
    if (take(/\s+|\/\/.*|\/\*[\s\S]*?\*\//y) !== undefined) continue;
    const start = line;
    const word = take(/[\p{ID_Start}$_#][\p{ID_Continue}$\u200c\u200d]*|\d[\w.]*/uy);
    if (word !== undefined) {
      push('word', word);
      continue;
    }
    const next = source[at]!;
    if (source.startsWith('/*', at)) throw new UnreadableSourceError(start, 'a comment');
    if (next === '"' || next === "'") {
      const text = take(next === '"' ? /"(?:[^"\\\n]|\\[\s\S])*"/y : /'(?:[^'\\\n]|\\[\s\S])*'/y);
      if (text === undefined) throw new UnreadableSourceError(start, 'a string');
      push('string', text.slice(1, -1), start);
      continue;
    }
    if (next === '/' && startsExpression(tokens.at(-1))) {
      const text = take(/\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/\w*/y);
      if (text === undefined) throw new UnreadableSourceError(start, 'a regular expression');
      push('mark', '/', start);
      continue;
    }
    at += 1;
    if (next === '`') {
      template(true);
      continue;
    }
    const open = templates.at(-1);
    if (next === '}' && open === 0) {
      template(false);
      continue;
    }
    if (open !== undefined && next === '{') templates[templates.length - 1] = open + 1;
    if (open !== undefined && next === '}') templates[templates.length - 1] = open - 1;
    push('mark', next);
  }
  return tokens;
}

function startsExpression(before: Token | undefined): boolean {
  if (before === undefined) return true;
  if (before.kind === 'string') return false;
  if (before.kind === 'word') return BEFORE_EXPRESSION.has(before.text);
  return ![')', ']', '}', '`'].includes(before.text);
}
