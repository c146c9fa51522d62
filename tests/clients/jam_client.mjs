// What a program does with jmap-jam. Arguments: the session's URL, a token.
import { JamClient } from "jmap-jam";

const [sessionUrl, bearerToken] = process.argv.slice(2);
const client = new JamClient({ sessionUrl, bearerToken });
const [echo] = await client.request(["Core/echo", { hello: "world" }]);
const create = { k: { "@type": "AcmeRenewal", domainId: "b" } };
const ids = [];
for (let i = 0; i < 3; i++) {
  const [answer] = await client.request(["x:Task/set", { create }]);
  ids.push(answer.created.k.id);
}
const { apiUrl, primaryAccounts } = await client.session;
const account = primaryAccounts["urn:ietf:params:jmap:core"];
const { size } = await client.uploadBlob(account, new Blob(["x".repeat(300000)]));
console.log(JSON.stringify({ api: apiUrl, echo, ids, size }));
