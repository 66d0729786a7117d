//! The faults: what is found, where, and what is changed in the sound template.

type Fault = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Where a resource is added.
const ADD: &str = "Resources:\n";

pub const FAULTS: &[Fault] = &[
    (
        "mapping-no-partial-response",
        "Mapping",
        &[("      FunctionResponseTypes: [ReportBatchItemFailures]\n", "")],
    ),
    (
        "mapping-no-destination",
        "Mapping",
        &[("        OnFailure: {Destination: !GetAtt Bucket.Arn}\n", "        {}\n")],
    ),
    (
        "mapping-destination-without-payload",
        "Mapping",
        &[
            (
                "OnFailure: {Destination: !GetAtt Bucket.Arn}",
                "OnFailure: {Destination: !Ref TopicIn}",
            ),
            (
                "Parameters:\n  TopicArn:",
                "Parameters:\n  TopicIn: {Type: String, Default: 'arn:aws:sns:us-east-1:123456789012:failed'}\n  TopicArn:",
            ),
        ],
    ),
    ("mapping-no-bisect", "Mapping", &[("      BisectBatchOnFunctionError: true\n", "")]),
    (
        "mapping-retries-forever",
        "Mapping",
        &[("      MaximumRecordAgeInSeconds: 43200\n", "      MaximumRecordAgeInSeconds: -1\n")],
    ),
    (
        "mapping-age-above-retention",
        "Mapping",
        &[("MaximumRecordAgeInSeconds: 43200", "MaximumRecordAgeInSeconds: 259200")],
    ),
    (
        "mapping-few-attempts",
        "Mapping",
        &[("MaximumRecordAgeInSeconds: 43200", "MaximumRetryAttempts: 2")],
    ),
    (
        "mapping-parallel-aggregates",
        "Mapping",
        &[("      BatchSize: 100\n", "      BatchSize: 100\n      ParallelizationFactor: '10'\n")],
    ),
    (
        "mapping-filter-drops-records",
        "Mapping",
        &[(
            "      BatchSize: 100\n",
            "      BatchSize: 100\n      FilterCriteria: {Filters: [{Pattern: '{\"data\": {\"type\": [\"order\"]}}'}]}\n",
        )],
    ),
    (
        "mapping-batch-against-timeout",
        "Mapping",
        &[("BatchSize: 100\n", "BatchSize: 10000\n"), ("Timeout: 60\n", "Timeout: 45\n")],
    ),
    (
        "mapping-record-above-event",
        "Mapping",
        &[("      ShardCount: 2\n", "      ShardCount: 2\n      MaxRecordSizeInKiB: 10240\n")],
    ),
    ("mapping-disabled", "Mapping", &[("      BatchSize: 100\n", "      Enabled: false\n")]),
    ("mapping-starts-late", "Mapping", &[("TRIM_HORIZON", "LATEST")]),
    (
        "mapping-window-and-resharding",
        "Mapping",
        &[("      BatchSize: 100\n", "      TumblingWindowInSeconds: 60\n")],
    ),
    ("mapping-not-watched", "Mapping", &[("MetricName: IteratorAge", "MetricName: Errors")]),
    (
        "function-default-timeout",
        "Transform",
        &[("      AutoPublishAlias: live\n", "      AutoPublishAlias: live\n      Timeout: 3\n")],
    ),
    (
        "function-small-memory",
        "Transform",
        &[(
            "      AutoPublishAlias: live\n",
            "      AutoPublishAlias: live\n      MemorySize: 128\n",
        )],
    ),
    (
        "function-x86",
        "Transform",
        &[(
            "      AutoPublishAlias: live\n",
            "      AutoPublishAlias: live\n      Architectures: [x86_64]\n",
        )],
    ),
    (
        "function-retired-runtime",
        "Transform",
        &[(
            "      AutoPublishAlias: live\n",
            "      AutoPublishAlias: live\n      Runtime: provided\n",
        )],
    ),
    (
        "function-dead-letters-unused",
        "Consumer",
        &[(
            "          TIDEGATE_JOURNAL: /tmp/tidegate\n",
            "          TIDEGATE_JOURNAL: /tmp/tidegate\n      DeadLetterQueue: {Type: SQS, TargetArn: !Ref TopicArn}\n",
        )],
    ),
    (
        "function-too-few-at-once",
        "Consumer",
        &[(
            "          TIDEGATE_JOURNAL: /tmp/tidegate\n",
            "          TIDEGATE_JOURNAL: /tmp/tidegate\n      ReservedConcurrentExecutions: 8\n",
        )],
    ),
    (
        "function-secret-in-environment",
        "Transform",
        &[(
            "TIDEGATE_PIPELINE: builtin:access-log",
            "TIDEGATE_PIPELINE: builtin:access-log\n          DB_PASSWORD: hunter2",
        )],
    ),
    (
        "function-log-group-unmanaged",
        "Transform",
        &[(
            "      AutoPublishAlias: live\n",
            "      AutoPublishAlias: live\n      LoggingConfig: {LogFormat: JSON}\n",
        )],
    ),
    ("consumer-quarantine-in-log", "Consumer", &[("!Sub s3://${Bucket}/quarantine", "log")]),
    (
        "consumer-quarantine-in-scratch",
        "Consumer",
        &[("!Sub s3://${Bucket}/quarantine", "file:///tmp/quarantine")],
    ),
    ("consumer-payload-in-log", "Consumer", &[("!Sub s3://${Bucket}/quarantine", "'log:payload'")]),
    ("consumer-no-journal", "Consumer", &[("          TIDEGATE_JOURNAL: /tmp/tidegate\n", "")]),
    ("consumer-no-spill", "Consumer", &[("!Sub s3://${Bucket}/quarantine", "dynamodb:quarantine")]),
    ("autoscaler-no-heartbeat", "Autoscaler", &[("Type: ScheduleV2", "Type: SNS")]),
    (
        "autoscaler-no-ledger",
        "Autoscaler",
        &[("          TIDEGATE_LEDGER_TABLE: !Ref Ledger\n", "")],
    ),
    ("autoscaler-no-maximum", "Autoscaler", &[("          TIDEGATE_MAX_SHARDS: 16\n", "")]),
    (
        "autoscaler-bounds-crossed",
        "Autoscaler",
        &[("TIDEGATE_MIN_SHARDS: 1\n", "TIDEGATE_MIN_SHARDS: 17\n")],
    ),
    (
        "autoscaler-stream-on-demand",
        "Stream",
        &[("{StreamMode: PROVISIONED}\n      ShardCount: 2\n", "{StreamMode: ON_DEMAND}\n")],
    ),
    ("autoscaler-shards-outside-bounds", "Stream", &[("ShardCount: 2\n", "ShardCount: 20\n")]),
    (
        "stream-unencrypted",
        "Stream",
        &[("      StreamEncryption: {EncryptionType: KMS, KeyId: alias/aws/kinesis}\n", "")],
    ),
    ("stream-shortest-retention", "Stream", &[("      RetentionPeriodHours: 72\n", "")]),
    (
        "stream-shared-by-many",
        "Stream",
        &[(
            ADD,
            "Resources:\n  Second:\n    Type: AWS::Lambda::EventSourceMapping\n    Properties:\n      FunctionName: !ImportValue elsewhere\n      EventSourceArn: !GetAtt Stream.Arn\n      FunctionResponseTypes: [ReportBatchItemFailures]\n      BisectBatchOnFunctionError: true\n      MaximumRecordAgeInSeconds: 43200\n      DestinationConfig: {OnFailure: {Destination: !GetAtt Bucket.Arn}}\n",
        )],
    ),
    (
        "stream-shard-metrics",
        "Stream",
        &[(
            "      ShardCount: 2\n",
            "      ShardCount: 2\n      DesiredShardLevelMetrics: [IncomingBytes]\n",
        )],
    ),
    (
        "delivery-buffer-above-response",
        "Delivery",
        &[("ParameterValue: \"1\"", "ParameterValue: \"3\"")],
    ),
    (
        "delivery-timeout-above-firehose",
        "Transform",
        &[("      AutoPublishAlias: live\n", "      AutoPublishAlias: live\n      Timeout: 900\n")],
    ),
    (
        "delivery-function-unversioned",
        "Delivery",
        &[("!Ref Transform.Alias", "!GetAtt Transform.Arn")],
    ),
    ("delivery-no-attempts", "Delivery", &[("ParameterValue: \"3\"", "ParameterValue: \"0\"")]),
    (
        "delivery-no-error-prefix",
        "Delivery",
        &[("        ErrorOutputPrefix: errors/!{firehose:error-output-type}/\n", "")],
    ),
    (
        "delivery-error-prefix-without-type",
        "Delivery",
        &[("errors/!{firehose:error-output-type}/", "errors/!{timestamp:yyyy}/")],
    ),
    (
        "delivery-errors-in-data",
        "Delivery",
        &[("ErrorOutputPrefix: errors/", "ErrorOutputPrefix: data/errors/")],
    ),
    ("delivery-no-source-backup", "Delivery", &[("        S3BackupMode: Enabled\n", "")]),
    (
        "delivery-no-error-log",
        "Delivery",
        &[(
            "CloudWatchLoggingOptions: {Enabled: true,",
            "CloudWatchLoggingOptions: {Enabled: false,",
        )],
    ),
    (
        "delivery-conversion-refused",
        "Delivery",
        &[(
            "        CompressionFormat: GZIP\n",
            "        CompressionFormat: GZIP\n        DataFormatConversionConfiguration: {Enabled: true}\n",
        )],
    ),
    (
        "delivery-partitions-missing",
        "Delivery",
        &[("Prefix: data/year", "Prefix: data/host=!{partitionKeyFromLambda:host}/year")],
    ),
    (
        "delivery-partitions-unused",
        "Delivery",
        &[(
            "        CompressionFormat: GZIP\n",
            "        CompressionFormat: GZIP\n        DynamicPartitioningConfiguration: {Enabled: true}\n",
        )],
    ),
    (
        "delivery-two-newlines",
        "Delivery",
        &[(
            "          Processors:\n",
            "          Processors:\n            - Type: AppendDelimiterToRecord\n",
        )],
    ),
    ("delivery-small-objects", "Delivery", &[("SizeInMBs: 64,", "SizeInMBs: 1,")]),
    (
        "delivery-unencrypted",
        "Delivery",
        &[("DeliveryStreamType: KinesisStreamAsSource", "DeliveryStreamType: DirectPut")],
    ),
    ("delivery-not-watched", "Delivery", &[("DeliveryToS3.DataFreshness", "DeliveryToS3.Records")]),
    ("alarm-never-fires", "Busy", &[("DatapointsToAlarm: 1\n", "DatapointsToAlarm: 11\n")]),
    (
        "alarm-tells-nobody",
        "Late",
        &[(
            "      Threshold: 1800\n      ComparisonOperator: GreaterThanThreshold\n      TreatMissingData: notBreaching\n      AlarmActions: [!Ref TopicArn]\n",
            "      Threshold: 1800\n      ComparisonOperator: GreaterThanThreshold\n      TreatMissingData: notBreaching\n",
        )],
    ),
    (
        "alarm-silenced",
        "Late",
        &[("      Threshold: 1800\n", "      Threshold: 1800\n      ActionsEnabled: false\n")],
    ),
    (
        "alarm-missing-data-undecided",
        "Late",
        &[(
            "      Threshold: 1800\n      ComparisonOperator: GreaterThanThreshold\n      TreatMissingData: notBreaching\n",
            "      Threshold: 1800\n      ComparisonOperator: GreaterThanThreshold\n",
        )],
    ),
    (
        "alarm-outage-shrinks-stream",
        "Busy",
        &[
            (
                "bytes / 62914560 / FILL(shards, REPEAT)",
                "FILL(bytes, 0) / 62914560 / FILL(shards, REPEAT)",
            ),
            (
                "      Threshold: 0.8\n      ComparisonOperator: GreaterThanThreshold",
                "      Threshold: 0.2\n      ComparisonOperator: LessThanThreshold",
            ),
        ],
    ),
    (
        "alarm-drifts-from-shards",
        "Busy",
        &[("MetricName: OpenShards", "MetricName: SomethingElse")],
    ),
    (
        "alarm-cannot-fire-again",
        "Throttled",
        &[(
            ADD,
            "Resources:\n  Throttled:\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n      Namespace: AWS/Kinesis\n      MetricName: WriteProvisionedThroughputExceeded\n      EvaluationPeriods: 1\n      TreatMissingData: notBreaching\n      AlarmActions: [!GetAtt Scaler.Arn]\n  Scaler:\n    Type: AWS::Lambda::Function\n    Properties: {Runtime: provided.al2023}\n  ThrottledMayCall:\n    Type: AWS::Lambda::Permission\n    Properties: {FunctionName: !Ref Scaler, Principal: lambda.alarms.cloudwatch.amazonaws.com, SourceArn: !GetAtt Throttled.Arn}\n",
        )],
    ),
    (
        "alarm-may-not-call",
        "Busy",
        &[("SourceArn: !GetAtt Busy.Arn", "SourceArn: !GetAtt Late.Arn")],
    ),
    ("bucket-public", "Bucket", &[("{BlockPublicAcls: true,", "{BlockPublicAcls: false,")]),
    (
        "bucket-without-tls",
        "Bucket",
        &[("aws:SecureTransport: \"false\"", "aws:SecureTransport: \"true\"")],
    ),
    (
        "bucket-unfinished-uploads",
        "Bucket",
        &[(
            "{Status: Enabled, AbortIncompleteMultipartUpload: {DaysAfterInitiation: 7}}",
            "{Status: Enabled, ExpirationInDays: 7}",
        )],
    ),
    (
        "data-goes-with-stack",
        "Bucket",
        &[(
            "    Type: AWS::S3::Bucket\n    DeletionPolicy: Retain\n",
            "    Type: AWS::S3::Bucket\n",
        )],
    ),
    (
        "fixed-name",
        "Stream",
        &[("      ShardCount: 2\n", "      ShardCount: 2\n      Name: orders\n")],
    ),
    (
        "queue-forgets-before-stream",
        "Failed",
        &[
            (
                "OnFailure: {Destination: !GetAtt Bucket.Arn}",
                "OnFailure: {Destination: !GetAtt Failed.Arn}",
            ),
            (
                ADD,
                "Resources:\n  Failed:\n    Type: AWS::SQS::Queue\n    Properties: {MessageRetentionPeriod: 86400}\n  Failures:\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n      Namespace: AWS/SQS\n      MetricName: ApproximateNumberOfMessagesVisible\n      Dimensions: [{Name: QueueName, Value: !GetAtt Failed.QueueName}]\n      EvaluationPeriods: 1\n      TreatMissingData: notBreaching\n      AlarmActions: [!Ref TopicArn]\n",
            ),
            (
                "  Mapping:\n    Type: AWS::Lambda::EventSourceMapping\n",
                "  Mapping:\n    Type: AWS::Lambda::EventSourceMapping\n    Metadata: {Tidegate: {Ignore: [{Id: mapping-destination-without-payload, Reason: planted}]}}\n",
            ),
        ],
    ),
    (
        "queue-not-watched",
        "Failed",
        &[
            (
                "OnFailure: {Destination: !GetAtt Bucket.Arn}",
                "OnFailure: {Destination: !GetAtt Failed.Arn}",
            ),
            (
                ADD,
                "Resources:\n  Failed:\n    Type: AWS::SQS::Queue\n    Properties: {MessageRetentionPeriod: 1209600}\n",
            ),
            (
                "  Mapping:\n    Type: AWS::Lambda::EventSourceMapping\n",
                "  Mapping:\n    Type: AWS::Lambda::EventSourceMapping\n    Metadata: {Tidegate: {Ignore: [{Id: mapping-destination-without-payload, Reason: planted}]}}\n",
            ),
        ],
    ),
    (
        "queue-unencrypted",
        "Queue",
        &[(
            ADD,
            "Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n    Properties: {SqsManagedSseEnabled: false}\n",
        )],
    ),
    ("topic-unencrypted", "Topic", &[(ADD, "Resources:\n  Topic: {Type: AWS::SNS::Topic}\n")]),
    (
        "table-without-recovery",
        "Ledger",
        &[(
            "      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: false}\n",
            "      BillingMode: PAY_PER_REQUEST\n",
        )],
    ),
    ("log-never-expires", "Logs", &[("    Properties: {RetentionInDays: 30}\n", "")]),
    ("policy-any-action", "Role", &[("Action: [kinesis:GetRecords]", "Action: ['kinesis:*']")]),
    (
        "policy-any-resource",
        "Role",
        &[("Action: kinesis:DescribeLimits", "Action: kinesis:PutRecords")],
    ),
    (
        "policy-managed-wide",
        "Role",
        &[(
            "      Policies:\n        - PolicyName: own",
            "      ManagedPolicyArns: ['arn:aws:iam::aws:policy/AmazonKinesisFullAccess']\n      Policies:\n        - PolicyName: own",
        )],
    ),
    (
        "policy-every-stream",
        "Role",
        &[(
            "      Policies:\n        - PolicyName: own",
            "      ManagedPolicyArns: [!Sub 'arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaKinesisExecutionRole']\n      Policies:\n        - PolicyName: own",
        )],
    ),
    (
        "role-taken-by-anybody",
        "Role",
        &[("Principal: {Service: lambda.amazonaws.com}", "Principal: {AWS: '*'}")],
    ),
    (
        "role-for-any-firehose",
        "DeliveryRole",
        &[("            Condition: {StringEquals: {sts:ExternalId: !Ref AWS::AccountId}}\n", "")],
    ),
    (
        "permission-for-anybody",
        "BusyMayCall",
        &[("      SourceAccount: !Ref AWS::AccountId\n      SourceArn: !GetAtt Busy.Arn\n", "")],
    ),
    (
        "ignore-without-reason",
        "Stream",
        &[(
            "  Stream:\n    Type: AWS::Kinesis::Stream\n",
            "  Stream:\n    Type: AWS::Kinesis::Stream\n    Metadata: {Tidegate: {Ignore: [{Id: stream-unencripted, Reason: a slip}]}}\n",
        )],
    ),
];
