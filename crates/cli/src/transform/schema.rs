//! `tidegate transform schema`: the Glue table that fits what a pipeline writes, for a template.

use std::fmt::Write as _;

use tidegate_transform::Kind;
use tidegate_transform::reingest::REINGESTED;

use super::pipeline::Source;

/// Of which pipeline.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// The table's name
    #[arg(long, value_name = "NAME", default_value = "records")]
    table: String,
    /// Print the JSON Schema of pipeline files instead, for an editor
    #[arg(long)]
    editor: bool,
}

/// Prints the table.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.editor {
        return crate::print(tidegate_transform::editor_schema().trim_end());
    }
    let pipeline = arguments.source.compile()?;
    let mut text = format!(
        "# What {} writes, as a table of Parquet. Fields that the pipeline does not name are no \
         columns.\n\
         Table:\n  \
           Type: AWS::Glue::Table\n  \
           Properties:\n    \
             CatalogId: !Ref AWS::AccountId\n    \
             DatabaseName: !Ref Database\n    \
             TableInput:\n      \
               Name: {}\n      \
               TableType: EXTERNAL_TABLE\n      \
               Parameters: {{classification: parquet}}\n      \
               PartitionKeys:\n",
        arguments.source.config, arguments.table
    );
    for name in ["year", "month", "day", "hour"] {
        let _ = writeln!(text, "        - {{Name: {name}, Type: string}}");
    }
    text.push_str(
        "      StorageDescriptor:\n        \
           Location: !Sub s3://${Bucket}/data/\n        \
           InputFormat: org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat\n        \
           OutputFormat: org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat\n        \
           SerdeInfo:\n          \
             SerializationLibrary: org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe\n        \
           Columns:\n",
    );
    let mut columns: Vec<_> =
        pipeline.fields().iter().map(|field| (field.name.as_str(), field.kind)).collect();
    if columns.iter().all(|(name, _)| *name != REINGESTED) {
        // Only rows that were put back have it, and without the column their mark would be lost.
        columns.push((REINGESTED, Kind::Integer));
    }
    for (name, kind) in columns {
        let name = serde_json::Value::from(name);
        let _ = writeln!(text, "          - {{Name: {name}, Type: {}}}", kind.column_type());
    }
    crate::print(text.trim_end())
}
