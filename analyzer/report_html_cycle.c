/* SPDX-License-Identifier: Apache-2.0
 *
 * The picture of a cycle: its objects on a circle, clockwise, with the references
 * between them; the one to break is red and dashed.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "marktext.h"
#include "report_html.h"

#define MAX_STEPS   16u
#define NODE_WIDTH  170.0
#define NODE_HEIGHT 30.0
#define MAX_TEXT    24 /* columns that fit into a node */

struct point {
	double x, y;
};

struct picture {
	FILE *out;
	const struct report_model *model;
	const struct report_step *steps;
	size_t count;
	double radius_x, radius_y;
	struct point centre;
};

/* A self-reference leaves on the right and comes back on top. */
static struct point place(const struct picture *picture, size_t i)
{
	double angle = 2 * M_PI * (double)i / (double)picture->count - M_PI / 2;

	if (picture->count == 1)
		return picture->centre;
	return (struct point){picture->centre.x + picture->radius_x * cos(angle),
			      picture->centre.y + picture->radius_y * sin(angle)};
}

/* Where the line from `from` meets the box around `to`. */
static struct point border(struct point from, struct point to)
{
	double dx = from.x - to.x, dy = from.y - to.y;
	double tx = dx != 0 ? (NODE_WIDTH / 2 + 3) / fabs(dx) : INFINITY;
	double ty = dy != 0 ? (NODE_HEIGHT / 2 + 3) / fabs(dy) : INFINITY;
	double t = fmin(fmin(tx, ty), 1);

	return (struct point){to.x + t * dx, to.y + t * dy};
}

static void put_node(const struct picture *picture, size_t i)
{
	struct point at = place(picture, i);
	uint32_t node = picture->steps[i].from;
	uint32_t number = picture->model->place[node];
	const char *name = report_model_name(picture->model, node);

	fprintf(picture->out,
		"<rect class=\"node\" x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\" rx=\"6\"/>"
		"<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\"><title>",
		at.x - NODE_WIDTH / 2, at.y - NODE_HEIGHT / 2, NODE_WIDTH, NODE_HEIGHT, at.x, at.y + 4);
	marktext_put(picture->out, name);
	fputs("</title>", picture->out);
	marktext_format(picture->out, "%.*s#%" PRIu32, MAX_TEXT, name, number);
	fputs("</text>\n", picture->out);
}

static void put_path(const struct picture *picture, struct point a, struct point b, struct point bend,
		     const char *class)
{
	fprintf(picture->out,
		"<path class=\"%s\" d=\"M%.1f %.1f Q%.1f %.1f %.1f %.1f\" marker-end=\"url(#arrow)\"/>",
		class, a.x, a.y, bend.x, bend.y, b.x, b.y);
}

/* Bent outwards, so that the two references of a pair lie apart. */
static void put_edge(const struct picture *picture, size_t i, bool broken)
{
	const struct graph_edge *edge = &picture->model->analysis->graph->edge[picture->steps[i].edge];
	const char *field = report_model_field(picture->model, picture->steps[i].from, edge);
	struct point a = place(picture, i), b = place(picture, (i + 1) % picture->count);
	struct point middle = {(a.x + b.x) / 2, (a.y + b.y) / 2}, bend, label;

	bend = (struct point){middle.x - (b.y - a.y) * -0.25, middle.y + (b.x - a.x) * -0.25};
	if (picture->count == 1) {
		bend = (struct point){a.x + NODE_WIDTH, a.y - 3 * NODE_HEIGHT};
		put_path(picture, (struct point){a.x + NODE_WIDTH / 2, a.y},
			 (struct point){a.x, a.y - NODE_HEIGHT / 2 - 3}, bend,
			 broken ? "edge break" : "edge");
		middle = (struct point){a.x + NODE_WIDTH / 2, a.y - NODE_HEIGHT};
	} else {
		put_path(picture, border(bend, a), border(bend, b), bend, broken ? "edge break" : "edge");
	}
	/* Outside of the line, whose middle is half the way to the bend. */
	label = (struct point){middle.x + 0.8 * (bend.x - middle.x), middle.y + 0.8 * (bend.y - middle.y)};
	fprintf(picture->out, "<text%s x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
		broken ? " class=\"break\"" : "", label.x, label.y);
	marktext_put(picture->out, field ? field : "");
	fputs("</text>\n", picture->out);
}

static void put_picture(const struct picture *picture, const struct finding *finding)
{
	const double width = 2 * picture->centre.x, height = 2 * picture->centre.y;

	fprintf(picture->out,
		"<svg viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" role=\"img\" "
		"aria-label=\"the cycle\">"
		"<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" "
		"markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" fill=\"#5b6b7b\"/></marker>"
		"</defs>\n",
		width, height, width, height);
	for (size_t i = 0; i < picture->count; i++) {
		const struct report_step *step = &picture->steps[i];

		put_edge(picture, i,
			 finding->advice.present && finding->advice.edge_from == step->from &&
				 finding->advice.edge == step->edge);
	}
	for (size_t i = 0; i < picture->count; i++)
		put_node(picture, i);
	fputs("</svg>\n", picture->out);
}

void report_html_cycle(FILE *out, const struct report_model *model, const struct finding *finding)
{
	struct report_step *steps;
	size_t count = report_model_cycle(model, finding, &steps);
	struct picture picture = {.out = out, .model = model, .steps = steps, .count = count};

	if (count > 0 && count <= MAX_STEPS) {
		picture.radius_x = count == 1 ? 40 : 130 + 14 * (double)count;
		picture.radius_y = count == 1 ? 40 : 60 + 20 * (double)count;
		picture.centre =
			(struct point){picture.radius_x + NODE_WIDTH, picture.radius_y + 2 * NODE_HEIGHT};
		put_picture(&picture, finding);
	}
	free(steps);
}
