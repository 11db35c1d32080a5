/* Follows a directory and prints each update in a line, for tests that need a process of its own. */

import { DirectorySource } from '#datastore/directory/source.ts';
import { keyOf } from '#datastore/resource.ts';

const source = new DirectorySource(process.argv[2]!, { settle: 40, rescan: 200 });
for await (const update of source.watch(new AbortController().signal)) {
  const changes =
    update.type === 'snapshot'
      ? update.resources.map((resource) => keyOf(resource))
      : update.type === 'changes'
        ? update.changes.map((change) => (change.type === 'put' ? keyOf(change.resource) : change.key))
        : [];
  console.log(JSON.stringify([update.type, changes, update.problems.map(({ found }) => found)]));
}
