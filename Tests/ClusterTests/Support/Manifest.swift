// Owns: the Jobs of the cluster tests, whose pods write a ledger.
// It must not know which test runs which.

import ClusterProto

enum Work {
  /// Works for that many seconds.
  case brief(String)
  /// Signs five times a second until the test makes the file `go` in the ledger's directory.
  case untilTold
  /// Signs until told, and for a second after it was asked to end.
  case slowToEnd
  /// Any shell commands; `sign WORD` writes the ledger.
  case script(String)

  var text: String {
    let sign = """
      sign() { read up idle < /proc/uptime; echo "$up $STINT_FENCING_TOKEN $HOSTNAME $$ $1" >> /ledger/signs; }
      sign start

      """
    switch self {
    case .brief(let seconds): return sign + "sleep \(seconds)\nsign end\n"
    case .untilTold: return sign + "until [ -e /ledger/go ]; do sign beat; sleep 0.2; done\nsign end\n"
    case .slowToEnd:
      return sign + """
        finish() { for beat in 1 2 3 4 5; do sign last; sleep 0.2; done; sign killed; exit 143; }
        trap finish TERM
        until [ -e /ledger/go ]; do sign beat; sleep 0.2; done
        sign end

        """
    case .script(let text): return sign + text
    }
  }
}

extension TestCluster {
  /// A Job whose pods see the ledger's directory as /ledger.
  func manifest(
    _ name: String, completions: Int64? = 1, parallelism: Int64 = 1, _ work: Work,
    change: (inout JSON) -> Void = { _ in }
  ) -> JSON {
    var job: JSON = [
      "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": .string(name)],
      "spec": [
        "parallelism": .int(parallelism),
        "template": [
          "spec": [
            "restartPolicy": "Never",
            "containers": [
              [
                "name": "main", "image": "none", "command": ["sh", "-c", .string(work.text)],
                "env": [["name": "STINT_TEST_DIRECTORY", "value": .string(directory)]],
                "volumeMounts": [["name": "ledger", "mountPath": "/ledger"]],
              ]
            ],
            "volumes": [["name": "ledger", "hostPath": ["path": .string("\(directory)/ledger")]]],
          ]
        ],
      ],
    ]
    if let completions { job[path: ["spec", "completions"]] = .int(completions) }
    change(&job)
    return job
  }
}
