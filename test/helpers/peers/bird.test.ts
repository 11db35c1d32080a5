import { peerSuite } from './suite.ts';

peerSuite('bird', 'frr');
