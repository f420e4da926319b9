// Exercises a server through the npm package node-zookeeper-client, unmodified.
//
// Usage: node client.js HOST:PORT. Reports in the Test Anything Protocol on standard output.
'use strict';

const { once } = require('events');
const zookeeper = require('node-zookeeper-client');

const { ACL, CreateMode, Event, Exception, Id, Permission, State } = zookeeper;
const WAIT_MS = 20000;
const SESSION_TIMEOUT_MS = 15000;
const address = process.argv[2];
let checks = 0;

function check(holds, name, detail) {
  checks += 1;
  console.log(`${holds ? 'ok' : 'not ok'} ${checks} - ${name}`);
  if (!holds && detail !== undefined) {
    console.log(`# ${detail}`);
  }
}

async function checkFails(promise, code, name) {
  const error = await promise.then(() => null, (reason) => reason);
  check(error !== null && error.getCode && error.getCode() === code, name, error);
}

// Calls a method of the client, whose last argument is a callback, and promises its results.
function call(client, method, ...words) {
  return new Promise((resolve, reject) => {
    client[method](...words, (error, ...results) => {
      if (error) {
        reject(error);
      } else {
        resolve(results.length > 1 ? results : results[0]);
      }
    });
  });
}

function commit(transaction) {
  return new Promise((resolve) => {
    transaction.commit((error, results) => resolve({ error, results }));
  });
}

function soon(promise, name) {
  const late = new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`${name}: nothing in ${WAIT_MS} ms`)), WAIT_MS).unref();
  });
  return Promise.race([promise, late]);
}

async function connect() {
  const client = zookeeper.createClient(address, { sessionTimeout: SESSION_TIMEOUT_MS, retries: 2 });
  const connected = once(client, 'connected');
  client.connect();
  await soon(connected, 'connecting');
  return client;
}

async function close(client) {
  const gone = once(client, 'disconnected');
  client.close();
  await soon(gone, 'closing');
}

// Returns a watcher and a promise of the one event that it is to receive.
function watcher() {
  let deliver;
  const event = new Promise((resolve) => {
    deliver = resolve;
  });
  return { deliver, event };
}

async function checkEvent(one, type, path, name) {
  const event = await soon(one.event, name);
  check(event.getType() === type && event.getPath() === path, name, event);
}

async function data() {
  const client = await connect();
  check(client.getState() === State.SYNC_CONNECTED, 'connects');
  check(client.getSessionTimeout() === SESSION_TIMEOUT_MS, 'the requested timeout is granted');
  check(await call(client, 'create', '/node', Buffer.from('one')) === '/node', 'create');
  await checkFails(call(client, 'create', '/node'), Exception.NODE_EXISTS, 'create of an existing node');
  await checkFails(call(client, 'create', '/none/x'), Exception.NO_NODE, 'create below a missing parent');
  const [bytes, stat] = await call(client, 'getData', '/node', null);
  check(bytes.toString() === 'one' && stat.version === 0 && stat.dataLength === 3, 'getData');
  const written = await call(client, 'setData', '/node', Buffer.from('three'), 0);
  check(written.version === 1 && written.dataLength === 5, 'setData');
  await checkFails(call(client, 'setData', '/node', Buffer.alloc(0), 0), Exception.BAD_VERSION, 'setData of a stale version');
  check(await call(client, 'exists', '/none', null) === null, 'exists of a missing node');
  await call(client, 'mkdirp', '/node/a/b/c');
  await checkFails(call(client, 'remove', '/node/a', -1), Exception.NOT_EMPTY, 'remove of a parent');
  const names = [];
  for (let i = 0; i < 3; i += 1) {
    names.push(await call(client, 'create', '/node/q-', null, null, CreateMode.PERSISTENT_SEQUENTIAL));
  }
  check(names.join() === '/node/q-0000000001,/node/q-0000000002,/node/q-0000000003', 'sequential names', names);
  const [children, parent] = await call(client, 'getChildren', '/node', null);
  check(children.sort().join() === 'a,q-0000000001,q-0000000002,q-0000000003', 'getChildren', children);
  check(parent.numChildren === 4 && parent.cversion === 4, 'the parent counts its children');
  for (const path of ['/node/a/b/c', '/node/a/b', '/node/a']) {
    await call(client, 'remove', path, -1);
  }
  check(await call(client, 'exists', '/node/a', null) === null, 'remove');
  await close(client);
}

async function pipelined() {
  const client = await connect();
  await call(client, 'create', '/burst');
  const numbers = Array.from({ length: 500 }, (_, i) => i);
  const stats = await Promise.all(numbers.map((i) => call(client, 'setData', '/burst', Buffer.from(`${i}`), i)));
  check(stats.every((stat, i) => stat.version === i + 1), 'a burst of writes is applied in the order it was sent');
  const [bytes] = await call(client, 'getData', '/burst', null);
  check(bytes.toString() === '499', 'the last write is read');
  await close(client);
}

async function watches() {
  const client = await connect();
  const other = await connect();
  await call(other, 'create', '/watched', Buffer.from('1'));
  const changed = watcher();
  await call(client, 'getData', '/watched', changed.deliver);
  await call(other, 'setData', '/watched', Buffer.from('2'), -1);
  await checkEvent(changed, Event.NODE_DATA_CHANGED, '/watched', 'a data watch fires');
  const created = watcher();
  const listed = watcher();
  await call(client, 'exists', '/watched/new', created.deliver);
  await call(client, 'getChildren', '/watched', listed.deliver);
  await call(other, 'create', '/watched/new');
  await checkEvent(created, Event.NODE_CREATED, '/watched/new', 'an exists watch fires');
  await checkEvent(listed, Event.NODE_CHILDREN_CHANGED, '/watched', 'a child watch fires');
  const removed = watcher();
  await call(client, 'exists', '/watched/new', removed.deliver);
  await call(other, 'remove', '/watched/new', -1);
  await checkEvent(removed, Event.NODE_DELETED, '/watched/new', 'a deletion is seen');
  await close(other);
  await close(client);
}

async function transactions() {
  const client = await connect();
  const good = await commit(client.transaction()
    .create('/transaction', Buffer.from('a'))
    .create('/transaction/x')
    .setData('/transaction', Buffer.from('b'), 0)
    .check('/transaction', 1)
    .remove('/transaction/x', -1));
  check(!good.error && good.results.length === 5, 'a transaction is applied', good.error);
  const bad = await commit(client.transaction().create('/transaction/y').check('/transaction', 9));
  check(bad.error && bad.error.getCode() === Exception.BAD_VERSION, 'a failing check is reported', bad.error);
  check(await call(client, 'exists', '/transaction/y', null) === null, 'nothing of it remains');
  await close(client);
}

async function access() {
  const owner = await connect();
  const stranger = await connect();
  owner.addAuthInfo('digest', Buffer.from('kim:secret'));
  await call(owner, 'create', '/guarded', Buffer.from('s'), ACL.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
  await checkFails(call(stranger, 'getData', '/guarded', null), Exception.NO_AUTH, 'a stranger may not read');
  const [acls] = await call(owner, 'getACL', '/guarded');
  check(acls.length === 1 && acls[0].id.scheme === 'digest' && acls[0].id.id.startsWith('kim:'), 'getACL', acls);
  const everyone = [new ACL(Permission.READ, new Id('world', 'anyone'))];
  const stat = await call(owner, 'setACL', '/guarded', everyone, 0);
  check(stat.aversion === 1, 'setACL');
  const [bytes] = await call(stranger, 'getData', '/guarded', null);
  check(bytes.toString() === 's', 'a stranger reads once it may');
  await close(stranger);
  await close(owner);
}

async function sessions() {
  const observer = await connect();
  const owner = await connect();
  await call(owner, 'create', '/lease', null, null, CreateMode.EPHEMERAL);
  const gone = watcher();
  const stat = await call(observer, 'exists', '/lease', gone.deliver);
  check(stat.ephemeralOwner.equals(owner.getSessionId()), 'an ephemeral node names its session');
  await checkFails(call(observer, 'create', '/lease/x'), Exception.NO_CHILDREN_FOR_EPHEMERALS,
    'create below an ephemeral node');
  // The client has no call for it: the connection is cut underneath and resumes by itself.
  const back = once(owner, 'connected');
  owner.connectionManager.socket.destroy();
  await soon(back, 'reconnecting');
  check(stat.ephemeralOwner.equals(owner.getSessionId()), 'a cut connection resumes its session');
  check(await call(owner, 'exists', '/lease', null) !== null, 'with its ephemeral node');
  await close(owner);
  await checkEvent(gone, Event.NODE_DELETED, '/lease', 'closing the session removes its ephemeral node');
  await close(observer);
}

async function main() {
  for (const scenario of [data, pipelined, watches, transactions, access, sessions]) {
    try {
      await scenario();
    } catch (error) {
      check(false, `${scenario.name} runs to its end`, error.stack);
    }
  }
  console.log(`1..${checks}`);
  process.exit(0);
}

main();
