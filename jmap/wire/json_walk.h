#ifndef RENEWGATE_JMAP_WIRE_JSON_WALK_H
#define RENEWGATE_JMAP_WIRE_JSON_WALK_H

/*
 * A walk over JSON's text where a tree of it would say too little, since jansson tells no
 * positions, or cost too much. It needs to know no more of JSON (RFC 8259) than where strings and
 * brackets end; whether the text is JSON is not asked. Each takes a place within the text, and the
 * text's end.
 */

/* Behind the white space that is there, if any. */
const char *json_walk_space(const char *at, const char *end);

/*
 * Behind the letters of a string that stand for themselves and are ASCII: at a quote, a backslash,
 * a control character, a byte beyond ASCII, or the end. DEL is a letter here, as in JSON.
 */
const char *json_walk_plain(const char *at, const char *end);

/* From a string's first quote to behind its last; NULL where the text ends before. */
const char *json_walk_string(const char *at, const char *end);

/*
 * From the first byte of any value to behind its last; NULL where the text ends within a string, an
 * object or an array. Which bracket ends which is not looked at.
 */
const char *json_walk_value(const char *at, const char *end);

#endif
