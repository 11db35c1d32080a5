import { connect, createNetns, type Netns } from '../netns.ts';

export const A4 = '10.0.0.1';
export const B4 = '10.0.0.2';
export const A6 = 'fd00::1';
export const B6 = 'fd00::2';

/** Two connected namespaces: `a` has the addresses A4 and A6, `b` has B4 and B6. */
export interface TwoNamespaces extends Disposable {
  readonly a: Netns;
  readonly b: Netns;
}

/** Makes them; `using` removes them. */
export function twoNamespaces(): TwoNamespaces {
  const stack = new DisposableStack();
  const a = stack.use(createNetns());
  const b = stack.use(createNetns());
  connect(
    { netns: a, addresses: [`${A4}/24`, `${A6}/64`] },
    { netns: b, addresses: [`${B4}/24`, `${B6}/64`] },
  );
  return { a, b, [Symbol.dispose]: () => stack.dispose() };
}
