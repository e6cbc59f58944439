// What the client prints, held against what kubectl printed for the same objects.

import ClusterProto
import Testing

@testable import stint

@Suite("The client prints as kubectl does")
struct CommandLinePrintingTests {
  private func table(_ columns: [(String, Int64)], _ rows: [[String]]) -> JSON {
    [
      "kind": "Table",
      "columnDefinitions": .array(columns.map { ["name": .string($0.0), "priority": .int($0.1)] }),
      "rows": .array(
        rows.map { cells in
          [
            "cells": .array(cells.map { .string($0) }),
            "object": ["metadata": ["namespace": "default", "labels": ["a": "b", "c": "d"]]],
          ]
        }),
    ]
  }

  private var jobs: JSON {
    table(
      [("Name", 0), ("Status", 0), ("Completions", 0), ("Duration", 0), ("Age", 0), ("Containers", 1)],
      [
        ["queue", "Running", "0/1 of 3", "5s", "5s", "main"],
        ["sucpol", "SuccessCriteriaMet", "1/3", "7s", "7s", "main"], ["susp", "Suspended", "0/1", "", "5s", "main"],
      ])
  }

  @Test("what an object holds for a terminal is shown and not obeyed: in tables, descriptions and refusals")
  func harmless() {
    let text = "a\u{1B}[31mb\rc\u{7}d\u{9B}e\u{202E}f"
    let shown = "a^[[31mb^Mc^Gd\\u009be\\u202ef"
    var printer = TablePrinter(style: .init())
    #expect(printer.text(table([("Name", 0)], [[text.replacing("\r", with: "")]])).contains("a^[[31mbc^Gd"))
    var describer = Describer(now: WallTime(nanoseconds: 0))
    describer.field("Name", text)
    #expect(describer.laidOut().contains(shown))
    #expect(StatusError(["message": .string(text)], code: 404).text() == "Error from server: \(shown)")
    var events = EventRows(namespaces: false, headers: false, colours: false)
    let event: JSON = ["type": "Normal", "reason": .string(text), "message": .string(text)]
    #expect(!events.text([event], now: WallTime(nanoseconds: 0)).contains("\u{1B}"))
    #expect(TerminalText.harmless("tabs\tand\nlines, ü and 語") == "tabs\tand\nlines, ü and 語")
  }

  @Test("columns are three spaces apart, wide ones only with -o wide")
  func tables() {
    var printer = TablePrinter(style: .init())
    #expect(
      printer.text(jobs) == """
        NAME     STATUS               COMPLETIONS   DURATION   AGE
        queue    Running              0/1 of 3      5s         5s
        sucpol   SuccessCriteriaMet   1/3           7s         7s
        susp     Suspended            0/1                      5s

        """)
    var wide = TablePrinter(
      style: .init(wide: true, headers: false, namespaces: true, labels: true, namePrefix: "job.batch/"))
    #expect(
      wide.text(jobs) == """
        default   job.batch/queue    Running              0/1 of 3   5s    5s    main   a=b,c=d
        default   job.batch/sucpol   SuccessCriteriaMet   1/3        7s    7s    main   a=b,c=d
        default   job.batch/susp     Suspended            0/1              5s    main   a=b,c=d

        """)
  }

  @Test("a watch that finds nothing yet prints nothing, not an empty line")
  func emptyWatch() {
    var printer = TablePrinter(style: .init(), remembersWidths: true)
    #expect(printer.text(table([("Name", 0), ("Age", 0)], [])) == "")
    #expect(printer.text(table([], [["a", "5s"]])) == "NAME   AGE\na      5s\n")
  }

  @Test("rows of a watch stay under their header, and colour takes no width")
  func watchedRows() {
    var printer = TablePrinter(style: .init(colours: true), remembersWidths: true)
    let columns: [(String, Int64)] = [("Name", 0), ("Status", 0), ("Age", 0)]
    let first = printer.text(table(columns, [["a-long-name", "Running", "5s"]]))
    var later = table([], [["b", "Complete", "6s"]])
    later["columnDefinitions"] = nil
    #expect(first.hasPrefix("NAME          STATUS    AGE\na-long-name   \u{1b}[36mRunning\u{1b}[0m   5s\n"))
    #expect(printer.text(later) == "b             \u{1b}[32mComplete\u{1b}[0m   6s\n")
  }

  @Test("a description of a finished Job is kubectl's, with conditions added")
  func describeJob() throws {
    let uid = "3113e458-ec0d-4b98-b8c7-eefe6f50f7dc"
    let labels: JSON = [
      "batch.kubernetes.io/controller-uid": .string(uid), "batch.kubernetes.io/job-name": "done",
      "controller-uid": .string(uid), "job-name": "done",
    ]
    let job: JSON = [
      "kind": "Job", "metadata": ["name": "done", "namespace": "default", "labels": labels],
      "spec": [
        "selector": ["matchLabels": ["batch.kubernetes.io/controller-uid": .string(uid)]], "parallelism": 1,
        "completions": 1, "completionMode": "NonIndexed", "suspend": false, "backoffLimit": 6,
        "template": [
          "metadata": ["labels": labels],
          "spec": [
            "containers": [
              ["name": "main", "image": "busybox", "command": ["sh", "-c", "echo hello; sleep 1"], "resources": [:]]
            ]
          ],
        ],
      ],
      "status": [
        "startTime": "2026-11-23T09:35:55Z", "completionTime": "2026-11-23T09:35:57Z", "succeeded": 1, "ready": 0,
      ],
    ]
    let created: JSON = [
      "type": "Normal", "reason": "SuccessfulCreate", "firstTimestamp": "2026-11-23T09:35:55Z",
      "lastTimestamp": "2026-11-23T09:35:55Z", "source": ["component": "job-controller"],
      "message": "Created pod: done-q7mhz",
    ]
    var completed = created
    completed["reason"] = "Completed"
    completed["message"] = "Job completed"
    for member in ["firstTimestamp", "lastTimestamp"] { completed[member] = "2026-11-23T09:35:57Z" }
    var describer = Describer(now: try #require(WallTime(rfc3339: "2026-11-23T09:36:04Z")))
    describer.job(job)
    describer.events([completed, created])
    #expect(describer.laidOut() == CommandLinePrintingTests.describedJob)

    var withConditions = job
    withConditions[path: ["status", "conditions"]] = [
      [
        "type": "Complete", "status": "True", "reason": "CompletionsReached", "message": "Reached it",
        "lastTransitionTime": "2026-11-23T09:35:57Z",
      ]
    ]
    var second = Describer(now: describer.now)
    second.job(withConditions)
    #expect(
      second.laidOut().contains(
        """
        Conditions:
          Type      Status  LastTransitionTime               Reason              Message
          ----      ------  ------------------               ------              -------
          Complete  True    Mon, 23 Nov 2026 09:35:57 +0000  CompletionsReached  Reached it

        """))
  }

  @Test("a described Secret shows the sizes of its values only")
  func describeSecret() throws {
    var describer = Describer(now: try #require(WallTime(rfc3339: "2026-11-23T09:36:04Z")))
    describer.secret([
      "metadata": ["name": "login", "namespace": "default"], "type": "Opaque", "data": ["password": "cDRzcw=="],
    ])
    let text = describer.laidOut()
    #expect(text.contains("Type:") && text.contains("Opaque"))
    #expect(text.contains("password:") && text.contains("4 bytes"))
    #expect(!text.contains("cDRzcw"))
  }

  private static let describedJob = """
    Name:             done
    Namespace:        default
    Selector:         batch.kubernetes.io/controller-uid=3113e458-ec0d-4b98-b8c7-eefe6f50f7dc
    Labels:           batch.kubernetes.io/controller-uid=3113e458-ec0d-4b98-b8c7-eefe6f50f7dc
                      batch.kubernetes.io/job-name=done
                      controller-uid=3113e458-ec0d-4b98-b8c7-eefe6f50f7dc
                      job-name=done
    Annotations:      <none>
    Parallelism:      1
    Completions:      1
    Completion Mode:  NonIndexed
    Suspend:          false
    Backoff Limit:    6
    Start Time:       Mon, 23 Nov 2026 09:35:55 +0000
    Completed At:     Mon, 23 Nov 2026 09:35:57 +0000
    Duration:         2s
    Pods Statuses:    0 Active (0 Ready) / 1 Succeeded / 0 Failed
    Pod Template:
      Labels:  batch.kubernetes.io/controller-uid=3113e458-ec0d-4b98-b8c7-eefe6f50f7dc
               batch.kubernetes.io/job-name=done
               controller-uid=3113e458-ec0d-4b98-b8c7-eefe6f50f7dc
               job-name=done
      Containers:
       main:
        Image:      busybox
        Port:       <none>
        Host Port:  <none>
        Command:
          sh
          -c
          echo hello; sleep 1
        Environment:   <none>
        Mounts:        <none>
      Volumes:         <none>
      Node-Selectors:  <none>
      Tolerations:     <none>
    Events:
      Type    Reason            Age   From            Message
      ----    ------            ----  ----            -------
      Normal  SuccessfulCreate  9s    job-controller  Created pod: done-q7mhz
      Normal  Completed         7s    job-controller  Job completed

    """

  @Test(
    "YAML quotes what would read back as something else",
    arguments: [
      ("plain", "plain"), ("", "\"\""), ("1700", "\"1700\""), ("true", "\"true\""), ("No", "\"No\""),
      ("2026-11-23T09:35:55Z", "\"2026-11-23T09:35:55Z\""), ("2026-11-23", "\"2026-11-23\""), ("1:30", "\"1:30\""),
      ("Created pod: x", "'Created pod: x'"), ("it's: so", "'it''s: so'"), ("-c", "-c"), ("- c", "'- c'"),
      ("a #b", "'a #b'"), ("[x", "'[x'"), ("0x1F", "\"0x1F\""), ("1.2.3", "1.2.3"), ("tab\there", "\"tab\\there\""),
    ])
  func yamlStrings(text: String, expected: String) {
    #expect(YAMLText.plain(text) == expected)
  }

  @Test("YAML lays out objects, lists and blocks as kubectl does")
  func yaml() {
    let json: JSON = [
      "b": [["x": 1, "y": ["deep": true]], "z", []], "a": "one\ntwo\n", "c": [:], "d": "no\nend", "e": [["k", "l"]],
    ]
    #expect(
      json.yaml == """
        a: |
          one
          two
        b:
        - x: 1
          "y":
            deep: true
        - z
        - []
        c: {}
        d: |-
          no
          end
        e:
        - - k
          - l

        """)
  }

  @Test("refusals are worded as kubectl's")
  func refusals() {
    let invalid = StatusError(
      [
        "reason": "Invalid",
        "details": [
          "kind": "Job", "name": "e-restartbad",
          "causes": [
            ["field": "spec.a", "message": "Unsupported value"], ["field": "spec.b", "message": "Required value"],
          ],
        ],
      ], code: 422)
    #expect(
      invalid.text(doing: "error when creating \"x.yaml\"")
        == "The Job \"e-restartbad\" is invalid: \n* spec.a: Unsupported value\n* spec.b: Required value")
    let exists = StatusError(["reason": "AlreadyExists", "message": "jobs.batch \"run\" already exists"], code: 409)
    #expect(
      exists.text(doing: "error when creating \"run.yaml\"")
        == "Error from server (AlreadyExists): error when creating \"run.yaml\": jobs.batch \"run\" already exists")
  }

  @Test("log lines get their prefix whole, whatever pieces they come in")
  func logPrefix() {
    var text = LogText(prefix: "[pod/a/main] ", hasTimes: false, showsTimes: false)
    var output: [UInt8] = []
    for piece in ["one\ntw", "o\n", "thr", "ee"] { output += text.take(Array(piece.utf8)) }
    #expect(String(decoding: output, as: UTF8.self) == "[pod/a/main] one\n[pod/a/main] two\n")
    #expect(String(decoding: text.finish(), as: UTF8.self) == "[pod/a/main] three")
  }

  @Test("a followed log goes on after a lost connection without a line twice or missing")
  func logResume() {
    var text = LogText(prefix: "", hasTimes: true, showsTimes: false)
    let lines = ["01Z a", "02Z b", "02Z c", "02Z d", "03Z e"].map { "2026-11-23T09:00:\($0)\n" }
    var output = text.take(Array((lines[0] + lines[1] + lines[2] + "2026-11-23T09:00:02Z d").utf8))
    text.resume()
    output += text.take(Array(lines.joined().utf8))
    #expect(String(decoding: output, as: UTF8.self) == "a\nb\nc\nd\ne\n")
    #expect(text.lastTime == "2026-11-23T09:00:03Z")
  }
}
