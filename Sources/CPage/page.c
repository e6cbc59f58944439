// Owns: the page's plain files (files/) as bytes of the program: the compiler reads them where they lie, so there is
// no build step and no copy to go stale. PageFileTests holds this list against the folder.

#include "CPage.h"

// Each file is an array of its own; its name is its variable's, with underscores.
static const unsigned char actions_js[] = {
#embed "files/actions.js"
};
static const unsigned char ansi_js[] = {
#embed "files/ansi.js"
};
static const unsigned char api_js[] = {
#embed "files/api.js"
};
static const unsigned char attempts_js[] = {
#embed "files/attempts.js"
};
static const unsigned char crons_js[] = {
#embed "files/crons.js"
};
static const unsigned char dom_js[] = {
#embed "files/dom.js"
};
static const unsigned char events_js[] = {
#embed "files/events.js"
};
static const unsigned char filter_js[] = {
#embed "files/filter.js"
};
static const unsigned char grid_js[] = {
#embed "files/grid.js"
};
static const unsigned char index_html[] = {
#embed "files/index.html"
};
static const unsigned char indexes_js[] = {
#embed "files/indexes.js"
};
static const unsigned char job_js[] = {
#embed "files/job.js"
};
static const unsigned char jobs_js[] = {
#embed "files/jobs.js"
};
static const unsigned char lines_js[] = {
#embed "files/lines.js"
};
static const unsigned char live_js[] = {
#embed "files/live.js"
};
static const unsigned char logs_js[] = {
#embed "files/logs.js"
};
static const unsigned char logview_js[] = {
#embed "files/logview.js"
};
static const unsigned char main_js[] = {
#embed "files/main.js"
};
static const unsigned char model_js[] = {
#embed "files/model.js"
};
static const unsigned char node_js[] = {
#embed "files/node.js"
};
static const unsigned char nodes_js[] = {
#embed "files/nodes.js"
};
static const unsigned char page_css[] = {
#embed "files/page.css"
};
static const unsigned char queues_js[] = {
#embed "files/queues.js"
};
static const unsigned char route_js[] = {
#embed "files/route.js"
};
static const unsigned char schedule_js[] = {
#embed "files/schedule.js"
};
static const unsigned char table_js[] = {
#embed "files/table.js"
};
static const unsigned char timeline_js[] = {
#embed "files/timeline.js"
};
static const unsigned char why_js[] = {
#embed "files/why.js"
};
static const unsigned char words_js[] = {
#embed "files/words.js"
};
static const unsigned char yaml_js[] = {
#embed "files/yaml.js"
};

#define FILE(name, bytes) {name, bytes, sizeof bytes}
static const struct stint_page_file files[] = {
    FILE("actions.js", actions_js),
    FILE("ansi.js", ansi_js),
    FILE("api.js", api_js),
    FILE("attempts.js", attempts_js),
    FILE("crons.js", crons_js),
    FILE("dom.js", dom_js),
    FILE("events.js", events_js),
    FILE("filter.js", filter_js),
    FILE("grid.js", grid_js),
    FILE("index.html", index_html),
    FILE("indexes.js", indexes_js),
    FILE("job.js", job_js),
    FILE("jobs.js", jobs_js),
    FILE("lines.js", lines_js),
    FILE("live.js", live_js),
    FILE("logs.js", logs_js),
    FILE("logview.js", logview_js),
    FILE("main.js", main_js),
    FILE("model.js", model_js),
    FILE("node.js", node_js),
    FILE("nodes.js", nodes_js),
    FILE("page.css", page_css),
    FILE("queues.js", queues_js),
    FILE("route.js", route_js),
    FILE("schedule.js", schedule_js),
    FILE("table.js", table_js),
    FILE("timeline.js", timeline_js),
    FILE("why.js", why_js),
    FILE("words.js", words_js),
    FILE("yaml.js", yaml_js),
};

const struct stint_page_file *stint_page_file_at(size_t position) {
  return position < sizeof files / sizeof files[0] ? &files[position] : NULL;
}
