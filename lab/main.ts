/** What `npm start` runs once the machine is set up. */

console.error(
  'The lab, a routed cluster in network namespaces on this machine, is not part of this version yet.',
);
console.error('Which parts are here stands in README.md; `npm test` shows them at work.');
process.exitCode = 1;
