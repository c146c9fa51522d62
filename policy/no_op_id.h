#ifndef RENEWGATE_POLICY_NO_OP_ID_H
#define RENEWGATE_POLICY_NO_OP_ID_H

/*
 * Ids that no object of the server has or ever will have. The server's ids are 64-bit numbers in
 * its own base 32; they count up from small ones, so the very highest are never reached. Such an
 * id is read by the server as any id is, and answered as notFound.
 */

/* "p33", ten characters, NUL. */
#define NO_OP_ID_SIZE 14

/*
 * The domain id that cannot exist: one below the highest id, which itself reads as "no value"
 * (recording set-create-errors).
 */
#define IMPOSSIBLE_DOMAIN_ID "p333333333331"

/*
 * The id of a no-op, derived from the domain's and the certificate's id: the same answer for as
 * long as the certificate is the same. Never one of the two highest ids.
 */
void no_op_id(const char *domain_id, const char *certificate_id, char id[static NO_OP_ID_SIZE]);

#endif
