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

extension Work {
  /// A Job of this work whose pods see the directory `ledger` of their node as /ledger, and have `mark` (`NAME=value`)
  /// in their environment.
  func job(
    _ name: String, completions: Int64? = 1, parallelism: Int64 = 1, ledger: String, mark: String
  ) -> JSON {
    let variable = mark.split(separator: "=", maxSplits: 1).map(String.init)
    var job: JSON = [
      "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": .string(name)],
      "spec": [
        "parallelism": .int(parallelism),
        "template": [
          "spec": [
            "restartPolicy": "Never",
            "containers": [
              [
                "name": "main", "image": "host", "command": ["sh", "-c", .string(text)],
                "env": [["name": .string(variable[0]), "value": .string(variable[1])]],
                "volumeMounts": [["name": "ledger", "mountPath": "/ledger"]],
              ]
            ],
            "volumes": [["name": "ledger", "hostPath": ["path": .string(ledger)]]],
          ]
        ],
      ],
    ]
    if let completions { job[path: ["spec", "completions"]] = .int(completions) }
    return job
  }
}

extension TestCluster {
  /// A Job whose pods see the ledger's directory as /ledger.
  func manifest(
    _ name: String, completions: Int64? = 1, parallelism: Int64 = 1, _ work: Work,
    change: (inout JSON) -> Void = { _ in }
  ) -> JSON {
    var job = work.job(
      name, completions: completions, parallelism: parallelism, ledger: "\(directory)/ledger", mark: mark)
    change(&job)
    return job
  }
}
