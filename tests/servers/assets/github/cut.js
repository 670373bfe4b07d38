// GitHub's OpenAPI document → the operations that Stellate asks for, with every part that they refer to.
// The whole document takes Prism half a minute to read.
// usage: node cut.js FILE
const whole = JSON.parse(require('fs').readFileSync(process.argv[2], 'utf8'));

const repository = '/repos/{owner}/{repo}';
const paths = [
  repository,
  `${repository}/statuses/{sha}`,
  `${repository}/commits/{ref}/statuses`,
  `${repository}/commits/{ref}/check-runs`,
  `${repository}/check-runs`,
  `${repository}/check-runs/{check_run_id}`,
  `${repository}/issues/{issue_number}/comments`,
  `${repository}/issues/comments/{comment_id}`,
  `${repository}/installation`,
  `${repository}/pulls`,
  `${repository}/pulls/{pull_number}`,
  '/app/installations/{installation_id}/access_tokens',
];

const part = { openapi: whole.openapi, info: whole.info, servers: whole.servers, paths: {}, components: {} };
const open = [];

function refersTo(node) {
  if (node === null || typeof node !== 'object') return;
  if (typeof node.$ref === 'string') open.push(node.$ref);
  Object.values(node).forEach(refersTo);
}

for (const path of paths) {
  if (!whole.paths[path]) throw new Error(`GitHub no longer describes ${path}`);
  part.paths[path] = whole.paths[path];
  refersTo(whole.paths[path]);
}
while (open.length > 0) {
  const [, , section, name] = open.pop().split('/');
  part.components[section] ??= {};
  if (part.components[section][name] !== undefined) continue;
  part.components[section][name] = whole.components[section][name];
  refersTo(part.components[section][name]);
}
process.stdout.write(JSON.stringify(part));
