import type {
  Chain,
  Element,
  ObjectKind,
  Rule,
  SetDefinition,
  StatefulObject,
  Table,
  TableRef,
} from './model.ts';

/**
 * One step of a transaction, as plain data. A transaction is a list of them, which the kernel takes as a whole or not
 * at all; later ones see what earlier ones made.
 *
 * - `add` makes a thing, and is content when it is there already; with `exclusive` it must not be. It changes what can
 *   be changed: a chain's policy, a table's dormancy.
 * - `delete` takes a thing away, which must be there; a table with all that is in it.
 * - `flush` empties: a table or a chain of its rules, a set of its elements.
 * - Rules have no name: `after`, `before` and `handle` are handles of rules, as a dump gives them. Without one a rule
 *   goes to the end of its chain, and with `insert rule` to its beginning.
 */
export type Operation =
  | { readonly op: 'add table'; readonly table: Table; readonly exclusive?: boolean }
  | { readonly op: 'delete table'; readonly table: TableRef }
  | { readonly op: 'flush table'; readonly table: TableRef }
  | {
      readonly op: 'add chain';
      readonly table: TableRef;
      readonly chain: Chain;
      readonly exclusive?: boolean;
    }
  | { readonly op: 'delete chain'; readonly table: TableRef; readonly chain: string }
  | { readonly op: 'flush chain'; readonly table: TableRef; readonly chain: string }
  | { readonly op: 'add rule'; readonly table: TableRef; readonly rule: Rule; readonly after?: number }
  | { readonly op: 'insert rule'; readonly table: TableRef; readonly rule: Rule; readonly before?: number }
  | { readonly op: 'replace rule'; readonly table: TableRef; readonly rule: Rule; readonly handle: number }
  | {
      readonly op: 'delete rule';
      readonly table: TableRef;
      readonly chain: string;
      readonly handle: number;
    }
  | {
      readonly op: 'add set';
      readonly table: TableRef;
      readonly set: SetDefinition;
      readonly exclusive?: boolean;
    }
  | { readonly op: 'delete set'; readonly table: TableRef; readonly set: string }
  | { readonly op: 'flush set'; readonly table: TableRef; readonly set: string }
  | {
      /** Of a set with intervals, the elements are normalised first (elements.ts). */
      readonly op: 'add elements';
      readonly table: TableRef;
      readonly set: SetDefinition;
      readonly elements: readonly Element[];
      readonly exclusive?: boolean;
    }
  | {
      /** The elements must be there exactly so: of an interval, nothing less than the whole. */
      readonly op: 'delete elements';
      readonly table: TableRef;
      readonly set: SetDefinition;
      readonly elements: readonly Element[];
    }
  | {
      readonly op: 'add object';
      readonly table: TableRef;
      readonly object: StatefulObject;
      readonly exclusive?: boolean;
    }
  | {
      readonly op: 'delete object';
      readonly table: TableRef;
      readonly kind: ObjectKind;
      readonly name: string;
    };

export type Transaction = readonly Operation[];

/** What an operation is about, in nft's words, for errors: `add chain inet margay forward`. */
export function describeOperation(operation: Operation): string {
  const { op, table } = operation;
  const where = `${table.family} ${table.name}`;
  switch (operation.op) {
    case 'add table':
    case 'delete table':
    case 'flush table':
      return `${op} ${where}`;
    case 'add chain':
      return `${op} ${where} ${operation.chain.name}`;
    case 'delete chain':
    case 'flush chain':
      return `${op} ${where} ${operation.chain}`;
    case 'add rule':
    case 'insert rule':
    case 'replace rule': {
      const handle = 'handle' in operation ? ` handle ${operation.handle}` : '';
      const comment = operation.rule.comment === undefined ? '' : ` "${operation.rule.comment}"`;
      return `${op} ${where} ${operation.rule.chain}${handle}${comment}`;
    }
    case 'delete rule':
      return `${op} ${where} ${operation.chain} handle ${operation.handle}`;
    case 'add set':
    case 'add elements':
    case 'delete elements':
      return `${op} ${where} ${operation.set.name}`;
    case 'delete set':
    case 'flush set':
      return `${op} ${where} ${operation.set}`;
    case 'add object':
      return `add ${operation.object.kind} ${where} ${operation.object.name}`;
    case 'delete object':
      return `delete ${operation.kind} ${where} ${operation.name}`;
  }
}
