/**
 * From the text of a file to the objects in it: several YAML documents, JSON, and lists of objects.
 */

import { Composer, type Document, isMap, isScalar, isSeq, LineCounter, Parser } from 'yaml';
import { describeValue, type PathPart, type Problem, UNKNOWN_FIELD } from '../problem.ts';
import { type ApiType, describeKey, type Resource, type ResourceKey, readResource } from '../resource.ts';

/** What stands in one file. */
export interface FileContents {
  readonly objects: readonly FileObject[];
  readonly problems: readonly Problem[];
  /**
   * Whether it could be told for everything in the file which object it is. If not, an object that is no longer seen may
   * be the one that can not be read, and must not be taken for deleted.
   */
  readonly complete: boolean;
}

export interface FileObject {
  readonly key: ResourceKey;
  /** `undefined` if it is not valid. */
  readonly resource: Resource | undefined;
  readonly document: number;
  readonly line: number;
  readonly column: number;
}

/** Reads all objects of a file. `file` is its name in problems. */
export function readFileContents(file: string, source: string): FileContents {
  const reader = new FileReader(file);
  for (const _ of reader.read(source));
  return reader;
}

/** How long it is read without a pause, in ms. */
const SLICE_MS = 10;

/** The same for who has other things to do: between documents and items of lists the event loop has its turn. */
export async function readFileInSlices(file: string, source: string): Promise<FileContents> {
  const reader = new FileReader(file);
  let end = performance.now() + SLICE_MS;
  for (const _ of reader.read(source)) {
    if (performance.now() < end) continue;
    await new Promise((resolve) => setImmediate(resolve));
    end = performance.now() + SLICE_MS;
  }
  return reader;
}

class FileReader implements FileContents {
  readonly objects: FileObject[] = [];
  readonly problems: Problem[] = [];
  complete = true;
  readonly #file: string;
  readonly #lines = new LineCounter();
  #document = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Reads a document or an item of a list after the other. */
  *read(source: string): Generator<void> {
    try {
      for (const document of this.#parse(source)) {
        this.#document++;
        yield* this.#readDocument(document);
      }
    } catch (thrown) {
      // What is nested too deep ends the parser.
      if (!(thrown instanceof RangeError)) throw thrown;
      this.#document++;
      this.#illegible(0, '', `YAML that can not be read (${thrown.message})`, 'less nested YAML');
    }
  }

  #parse(source: string): Iterable<Document.Parsed> {
    const parser = new Parser(this.#lines.addNewLine);
    // It would write warnings to standard error itself.
    const composer = new Composer({ prettyErrors: false, merge: true, logLevel: 'error' });
    return composer.compose(parser.parse(source)) as Iterable<Document.Parsed>;
  }

  *#readDocument(document: Document.Parsed): Generator<void> {
    const mistake = document.errors[0];
    if (mistake !== undefined) {
      this.#illegible(mistake.pos[0], '', `a mistake in the YAML (${mistake.message})`, 'valid YAML');
      return;
    }
    let value: unknown;
    try {
      value = document.toJS({ maxAliasCount: 100 });
    } catch (thrown) {
      // Aliases that stand for too much are refused while they are resolved, and some merge keys too.
      if (!(thrown instanceof Error)) throw thrown;
      const tooMuch = thrown instanceof ReferenceError;
      const found = tooMuch ? thrown.message : `a mistake in the YAML (${thrown.message})`;
      this.#illegible(document.range[0], '', found, tooMuch ? 'fewer aliases' : 'valid YAML');
      return;
    }
    // Nothing but comments.
    if (value === null || value === undefined) return;
    const list = listOfObjects(value);
    if (list === undefined) this.#readObject(document, value, [], {});
    else yield* this.#readList(document, list);
    yield;
  }

  *#readList(document: Document.Parsed, { items, type }: ListOfObjects): Generator<void> {
    if (items === undefined || items === null) return;
    if (!Array.isArray(items)) {
      this.#illegible(offsetOf(document, ['items']), 'items', describeValue(items), 'a list');
      return;
    }
    for (const [i, item] of items.entries()) {
      this.#readObject(document, item, ['items', i], type);
      yield;
    }
  }

  #readObject(
    document: Document.Parsed,
    value: unknown,
    path: readonly PathPart[],
    type: Partial<ApiType>,
  ): void {
    const reading = readResource(value, path, type);
    const place = this.#placeOf(offsetOf(document, path));
    if (reading.outcome === 'resource') {
      this.objects.push({ key: reading.key, resource: reading.resource, ...place });
      return;
    }
    const severity = reading.outcome === 'foreign' && reading.harmless ? 'warning' : 'error';
    const key = reading.outcome === 'invalid' ? reading.key : undefined;
    const object = key === undefined ? '' : describeKey(key);
    if (key !== undefined) this.objects.push({ key, resource: undefined, ...place });
    else if (reading.outcome === 'invalid') this.complete = false;
    for (const { path, found, expected, ...fault } of reading.faults) {
      const at = this.#placeOf(offsetOf(document, fault.parts, found === UNKNOWN_FIELD));
      this.problems.push({ severity, file: this.#file, ...at, object, path, found, expected });
    }
  }

  /** Something that hides which objects are there. */
  #illegible(offset: number, path: string, found: string, expected: string): void {
    this.complete = false;
    const place = this.#placeOf(offset);
    this.problems.push({ severity: 'error', file: this.#file, ...place, object: '', path, found, expected });
  }

  #placeOf(offset: number): { document: number; line: number; column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { document: this.#document, line, column: col };
  }
}

interface ListOfObjects {
  readonly items: unknown;
  /** What the items are if they do not say it themselves: `PodList` is a list of `Pod`. */
  readonly type: Partial<ApiType>;
}

function listOfObjects(value: unknown): ListOfObjects | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const { kind, apiVersion, items } = value as Record<string, unknown>;
  if (typeof kind !== 'string' || typeof apiVersion !== 'string' || !kind.endsWith('List')) return undefined;
  return { items, type: kind === 'List' ? {} : { apiVersion, kind: kind.slice(0, -'List'.length) } };
}

/** Where the value at the path begins, or its name; for what is not there, the nearest thing around it. */
function offsetOf(document: Document.Parsed, path: readonly PathPart[], byName = false): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? document.range[0];
  for (const part of path) {
    let name: unknown;
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => (isScalar(key) ? key.value : key) === part);
      name = pair?.key;
      next = pair?.value;
    } else if (isSeq(node) && typeof part === 'number') {
      next = node.items[part];
    }
    const found = byName && part === path.at(-1) ? startOf(name) : (startOf(next) ?? startOf(name));
    if (found === undefined) break;
    offset = found;
    node = next;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return (node as { range?: readonly number[] | null } | null | undefined)?.range?.[0];
}
