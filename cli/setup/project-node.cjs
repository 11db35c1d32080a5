'use strict';

// Loaded into npm by npm.js. npm leaves out optional packages, such as native bindings, whose `engines` do not fit
// the Node that npm itself runs on; here it is to judge by the Node that the packages will run on.
Object.defineProperty(process, 'version', { value: process.env.MARGAY_PROJECT_NODE });
